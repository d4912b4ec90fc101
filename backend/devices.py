"""Where will sampling happen? A guess without torch, for the server; the worker knows for sure when it runs."""

from __future__ import annotations

import ctypes.util
import sys
from importlib import metadata
from pathlib import Path


def likely_device(wanted: str) -> str:
    """ "cpu" or "cuda": what is wanted, or for "auto" what this machine probably offers."""
    if wanted != "auto":
        return wanted
    try:
        if metadata.version("torch").endswith("+cpu"):
            return "cpu"
    except metadata.PackageNotFoundError:
        return "cpu"
    if sys.platform == "win32":
        return "cuda" if ctypes.util.find_library("nvcuda") else "cpu"
    return "cuda" if Path("/dev/nvidiactl").exists() else "cpu"
