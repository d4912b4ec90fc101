"""Styles and the models under them, in TOML files."""
