"""Frames as pictures: reading, measuring, other frame rates, contact sheets. Nothing here imports torch."""
