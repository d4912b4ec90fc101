"""Where will sampling happen? A guess without torch, for the server; the worker knows for sure when it runs."""

from __future__ import annotations

import ctypes.util
import re
import sys
from importlib import metadata
from pathlib import Path

DEVICE_FILES = Path("/dev")
_GPU = re.compile(r"nvidia\d+\Z")


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
    return "cuda" if (DEVICE_FILES / "nvidiactl").exists() else "cpu"


def worker_devices(wanted: str) -> tuple[str, ...]:
    """One device for each worker: those that are wanted, separated by commas, or for "auto" every GPU there is.

    With one GPU, or where they cannot be counted, the worker itself decides ("auto").
    """
    if wanted != "auto":
        return tuple(name.strip() for name in wanted.split(",") if name.strip()) or ("auto",)
    if likely_device("auto") != "cuda" or sys.platform == "win32":
        return ("auto",)
    count = sum(1 for path in DEVICE_FILES.iterdir() if _GPU.match(path.name))
    return tuple(f"cuda:{number}" for number in range(count)) if count > 1 else ("auto",)
