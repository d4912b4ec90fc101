"""The values of one small tensor of a file, without torch and without reading the others."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from pathlib import Path

from .header import Header

_FORMATS = {"float16": "e", "float32": "f", "float64": "d", "bfloat16": "H"}
_ERRORS = (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, StopIteration, RuntimeError, struct.error)
MOST = 1 << 20
"""Numbers; more are not small."""


def values_of(path: Path, header: Header, name: str) -> tuple[float, ...]:
    """The values of a tensor of floating-point numbers; () where there is none of this name, or it cannot be read.

    PyTorch's files from before version 1.6 have theirs somewhere behind each other, and give none.
    """
    tensor = header.stored.get(name)
    if tensor is None or tensor.dtype not in _FORMATS or math.prod(tensor.shape) > MOST:
        return ()
    count, letter = math.prod(tensor.shape), _FORMATS[tensor.dtype]
    each = struct.calcsize(letter)
    try:
        if header.pickled:
            with zipfile.ZipFile(path) as archive:
                record = next(name for name in archive.namelist() if name.endswith(f"/data/{tensor.record}"))
                with archive.open(record) as file:
                    raw = file.read((tensor.start + count) * each)[tensor.start * each :]
        else:
            with path.open("rb", buffering=0) as plain:
                plain.seek(tensor.start)
                raw = plain.read(count * each)
        found = struct.unpack(f"<{count}{letter}", raw)
    except _ERRORS:
        return ()
    if tensor.dtype == "bfloat16":  # the upper half of a float32
        return struct.unpack(f"<{count}f", struct.pack(f"<{count}I", *(number << 16 for number in found)))
    return found
