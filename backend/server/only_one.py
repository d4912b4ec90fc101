"""One backend for one state folder, held by the operating system: a process that dies lets go of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared_protocol.machine import files, locks


@contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Whether this process is the only holder of `path` now; held until the block ends. Raises OSError.

    The holder says in the file which process it is: whoever finds no connection file can still name it.
    """
    files.make_folder(path.parent)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        alone = locks.take(file.fileno())
        if alone:
            with suppress(OSError):  # a full disk: it is held all the same
                locks.sign(file.fileno())
        try:
            yield alone
        finally:
            if alone:
                with suppress(OSError):
                    os.ftruncate(file.fileno(), 0)
