"""Frames to files. No bpy.

A frame is written beside its place and then renamed, so no half-written frame ever carries a frame's name. It is not
fsynced: that could stall Blender's interface for as long as the disk likes.
"""

from __future__ import annotations

import errno
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from shared_protocol.machine import files

from ..clip.job import Job

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


@dataclass(frozen=True)
class FrameFolder:
    """The folder of one clip: `parent/name/frame_0001.png` …"""

    path: Path

    @classmethod
    def of(cls, job: Job) -> FrameFolder:
        """Where the job's frames lie."""
        return cls(Path(job.folder))

    @classmethod
    def make(cls, parent: Path, name: str) -> FrameFolder:
        """Make the folder and try that files can be written there. Raises FrameFileError."""
        folder = cls(parent / name)
        probe = folder.path / f".{uuid.uuid4().hex}.tmp"
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError as error:
            folder.drop_if_empty()
            raise FrameFileError(f"The folder {folder.path} cannot be written: {why(error)}.") from error
        return folder

    def write(self, index: int, data: bytes | bytearray | memoryview) -> Path:
        """Write one frame in one step. Raises FrameFileError and then leaves nothing behind."""
        if bytes(data[:8]) != PNG_SIGNATURE:
            raise FrameFileError(f"Frame {index + 1} that the backend sent is not a PNG picture.")
        path = self.path / frame_name(index)
        try:
            files.write(path, data, private=False, durable=False)
        except OSError as error:
            raise FrameFileError(f"Frame {index + 1} cannot be written to {self.path}: {why(error)}.") from error
        return path

    def names(self) -> list[str]:
        """Names of the frames that are there, in order."""
        return sorted(path.name for path in self.path.glob("frame_*.png"))

    def move_to(self, parent: Path) -> FrameFolder:
        """Take what is there to another parent folder. Raises FrameFileError; then nothing moved."""
        new = FrameFolder.make(parent, self.path.name)
        names = self.names()
        try:
            for name in names:
                shutil.copyfile(self.path / name, new.path / name)
        except OSError as error:
            shutil.rmtree(new.path, ignore_errors=True)
            raise FrameFileError(f"The frames cannot be copied to {new.path}: {why(error)}.") from error
        for name in names:
            _try_unlink(self.path / name)
        self.drop_if_empty()
        return new

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
