"""Where will sampling happen? A guess without torch, for the server; the worker knows for sure when it runs."""

from __future__ import annotations

import ctypes.util
import platform
import re
import sys
from functools import cache
from pathlib import Path

from ..installer import torch_build

DEVICE_FILES = Path("/dev")
_GPU = re.compile(r"nvidia\d+\Z")
_DRIVERS = {"cuda": ("nvidiactl", "dxg"), "rocm": ("kfd",), "xpu": ("dri/renderD*",)}
"""By kind of build: the files by which Linux shows that a GPU for it can be used; dxg: that of the Linux in Windows."""
_LIBRARIES = {"cuda": "nvcuda", "xpu": "ze_loader"}
"""The same for Windows: a library of the driver's."""


def likely_device(wanted: str) -> str:
    """ "cpu", "cuda", "xpu" or "mps": what is wanted, or for "auto" what this machine probably offers."""
    if wanted != "auto":
        return wanted
    kind = _built_for()
    if sys.platform == "darwin":
        return "mps" if kind and platform.machine() == "arm64" else "cpu"
    if sys.platform == "win32":
        there = kind in _LIBRARIES and ctypes.util.find_library(_LIBRARIES[kind]) is not None
    else:
        there = any(any(DEVICE_FILES.glob(name)) for name in _DRIVERS.get(kind, ()))
    if not there:
        return "cpu"
    return "cuda" if kind == "rocm" else kind  # torch calls AMD's GPUs so


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


@cache
def _built_for() -> str:
    """The kind of the build of torch that is installed; "": there is none. It does not change while a server runs."""
    build = torch_build.installed()
    return build.kind if build else ""
