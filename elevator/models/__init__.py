"""From files to networks, text encoders and LoRAs. But for the embedded models' training, no other
folder imports diffusers."""
