"""Frames to files. No bpy.

A frame is written beside its place and then renamed, so no half-written frame ever carries a frame's name. It is not
fsynced: that could stall Blender's interface for as long as the disk likes.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from pathlib import Path

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class FrameFileError(Exception):
    """A folder or a frame could not be written. The text is one sentence for the artist."""


def frame_name(index: int) -> str:
    """File name of frame `index`, which counts from 0; the files count from 1 as Blender does."""
    return f"frame_{index + 1:04d}.png"


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


class FrameFolder:
    """The folder of one clip: `parent/name/frame_0001.png` …"""

    def __init__(self, parent: Path, name: str) -> None:
        """Make the folder and try that files can be written there. Raises FrameFileError."""
        self.path = parent / name
        probe = self.path / f".{uuid.uuid4().hex}.tmp"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError as error:
            self.drop_if_empty()
            raise FrameFileError(f"The folder {self.path} cannot be written: {why(error)}.") from error

    def write(self, index: int, data: bytes | bytearray | memoryview) -> Path:
        """Write one frame in one step. Raises FrameFileError and then leaves nothing behind."""
        if bytes(data[:8]) != PNG_SIGNATURE:
            raise FrameFileError(f"Frame {index + 1} that the backend sent is not a PNG picture.")
        path = self.path / frame_name(index)
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise FrameFileError(f"Frame {index + 1} cannot be written to {self.path}: {why(error)}.") from error
        return path

    def names(self) -> list[str]:
        """Names of the frames that are there, in order."""
        return sorted(path.name for path in self.path.glob("frame_*.png"))

    def move_to(self, parent: Path) -> None:
        """Go on in another parent folder, taking along what is there. Raises FrameFileError; then nothing moved."""
        new = FrameFolder(parent, self.path.name)
        names = self.names()
        try:
            for name in names:
                shutil.copyfile(self.path / name, new.path / name)
        except OSError as error:
            shutil.rmtree(new.path, ignore_errors=True)
            raise FrameFileError(f"The frames cannot be copied to {new.path}: {why(error)}.") from error
        old, self.path = self.path, new.path
        for name in names:
            _try_unlink(old / name)
        _drop_if_empty(old)

    def drop_if_empty(self) -> None:
        """Remove the folder, and the one around it, if nothing is in them."""
        _drop_if_empty(self.path)


def _try_unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return  # a copy stays behind on a disk that has become read-only


def _drop_if_empty(path: Path) -> None:
    for folder in (path, path.parent):
        try:
            folder.rmdir()
        except OSError:
            return
