"""From files to networks, text encoders and LoRAs. The one folder of the library that knows diffusers."""
