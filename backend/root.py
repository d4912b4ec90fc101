"""Where this project lies."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder: paths in base files are relative to it, and child processes start in it."""
