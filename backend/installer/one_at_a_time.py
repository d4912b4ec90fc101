"""Two install.py in one clone must not work on the same folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.installer.problem import Problem
from shared_protocol.machine import locks


@contextmanager
def one_at_a_time(file: Path, what: str) -> Iterator[None]:
    """Hold the lock `file` during the block. Raises Problem if another process has it.

    The system gives the lock back when its holder dies, however it dies: a stale lock is not possible.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as handle:
        if not locks.take(handle.fileno()):
            handle.seek(0)
            holder = handle.read(20).decode("ascii", "replace").strip() or "unknown"
            raise Problem(f"Another install.py {what} in this folder (process {holder}): wait until it ends.")
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n".encode())
        handle.flush()
        yield
