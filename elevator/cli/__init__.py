"""`python -m elevator`: clips without backend and Blender."""
