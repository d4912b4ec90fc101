"""Copies a clip's files beside the .blend, as a process of its own: a slow disk must not hold up Blender.

    python copying.py SOURCE TARGET

Whole or not at all: the files go into a folder beside TARGET, which then gets its name. What is there already is left
as it is. An error is one sentence on standard error, and exit code 1, or NOTHING_THERE. Standard library only;
`Copying` starts it.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PATTERNS = ("frame_*.png", "clip.json")
"""What is copied of a result: the frames, and the record of how they were made."""


PAUSES = tuple(0.02 * 2**number for number in range(8))
"""Between the tries to give a file its name, seconds: five in all."""


class CopyError(Exception):
    """The files could not be copied. The text is one sentence."""


class NothingThereError(CopyError):
    """There is nothing to copy: the backend's frames are gone."""


NOTHING_THERE = 3
"""Exit code that says so."""


def why(error: OSError) -> str:
    """A short clause for an operating system's error."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return "the disk is full"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "it is write-protected"
        case errno.ENAMETOOLONG:
            return "its path is too long"
        case errno.ENOENT | errno.ENOTDIR | errno.EEXIST | errno.ENODEV:
            return "a folder on its path does not exist"
    return (error.strerror or type(error).__name__).lower()


def copy(source: Path, target: Path) -> None:
    """Copy a clip's files. Raises CopyError or NothingThereError, and then leaves nothing behind."""
    names = [path.name for pattern in PATTERNS for path in sorted(source.glob(pattern))]
    if not names:
        raise NothingThereError(f"The backend's folder {source} holds no frames any more.")
    beside = _beside(target, os.getpid())
    try:
        beside.mkdir(parents=True)
        for name in names:
            shutil.copyfile(source / name, beside / name)
        if not target.is_dir():
            _name(beside, target)
            return
        for name in names:
            if not (target / name).exists():
                _name(beside / name, target / name)
    except OSError as error:
        raise CopyError(f"The frames cannot be written to {target}: {why(error)}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _name(old: Path, new: Path) -> None:
    """`os.replace`, again and again while another program, such as a virus scanner, has a file of it open: Windows
    refuses it then. Raises OSError."""
    for pause in PAUSES:
        try:
            os.replace(old, new)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    os.replace(old, new)


def _beside(target: Path, process: int) -> Path:
    """Where the files are until all of them are there."""
    return target.with_name(f".{target.name}.{process}.part")


class Copying:
    """One copy under way."""

    def __init__(self, python: str, source: str, target: str) -> None:
        """Start it. `python`: any interpreter. Raises CopyError."""
        self._target = Path(target)
        quiet: dict[str, Any] = {}
        if sys.platform == "win32":
            quiet["creationflags"] = subprocess.CREATE_NO_WINDOW
        try:
            self._process = subprocess.Popen(
                [python, "-I", "-S", __file__, source, target],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                **quiet,
            )
        except OSError as error:
            raise CopyError(f"The frames cannot be copied: {python} does not start.") from error

    def poll(self) -> bool:
        """Whether it is done. Never blocks. Raises CopyError or NothingThereError."""
        code = self._process.poll()
        if code is None:
            return False
        assert self._process.stderr is not None
        with self._process.stderr as said:
            words = said.read().strip().splitlines()
        if code:
            kind = NothingThereError if code == NOTHING_THERE else CopyError
            raise kind(words[-1] if words else f"The frames were not copied (exit code {code}).")
        return True

    def stop(self) -> None:
        """End it; nothing half-written stays."""
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(_beside(self._target, self._process.pid), ignore_errors=True)
        if self._process.stderr is not None:
            self._process.stderr.close()


if __name__ == "__main__":
    sys.stderr.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        copy(Path(sys.argv[1]), Path(sys.argv[2]))
    except CopyError as error:
        print(error, file=sys.stderr)
        sys.exit(NOTHING_THERE if isinstance(error, NothingThereError) else 1)
