"""The scripts that made the embedded models, and measure them. Nothing else of the project imports them."""
