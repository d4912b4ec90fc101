"""Frames to files. No bpy.

A frame is written beside its place and then renamed, so no half-written frame ever carries a frame's name. It is not
fsynced: that could stall Blender's interface for as long as the disk likes.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from shared_protocol.machine import files

from ..clip.job import Job
from ..clip.words import Phrase
from .reasons import reason

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class FrameFileError(Exception):
    """A folder or a frame could not be written. The text is one sentence for the artist."""


def frame_name(index: int) -> str:
    """File name of frame `index`, which counts from 0; the files count from 1 as Blender does."""
    return f"frame_{index + 1:04d}.png"


@dataclass(frozen=True)
class FrameFolder:
    """The folder of one clip: `parent/name/frame_0001.png` …"""

    path: Path

    @classmethod
    def of(cls, job: Job) -> FrameFolder:
        """Where the job's frames lie."""
        return cls(Path(job.folder))

    def write(self, index: int, data: bytes | bytearray | memoryview) -> Path:
        """Write one frame in one step. Raises FrameFileError and then leaves nothing behind."""
        if bytes(data[:8]) != PNG_SIGNATURE:
            raise FrameFileError(Phrase("Frame {number} that the backend sent is not a PNG picture.", number=index + 1))
        path = self.path / frame_name(index)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            files.write(path, data, private=False, durable=False)
        except OSError as error:
            self.drop_if_empty()
            raise FrameFileError(
                Phrase(
                    "Frame {number} cannot be written to {folder}: {why}.",
                    number=index + 1,
                    folder=self.path,
                    why=reason(error),
                )
            ) from error
        return path

    def begins(self) -> bool:
        """Whether the first frame is there."""
        return (self.path / frame_name(0)).is_file()

    def holds(self, frames: int) -> bool:
        """Whether all of so many frames are there."""
        return all((self.path / frame_name(index)).is_file() for index in range(frames))

    def names(self) -> list[str]:
        """Names of the frames that are there, in order."""
        return sorted(path.name for path in self.path.glob("frame_*.png"))

    def move_to(self, parent: Path) -> FrameFolder:
        """Take what is there to another parent folder. Raises FrameFileError; then nothing moved."""
        new = FrameFolder(parent / self.path.name)
        there, was_there = [path for path in self.path.glob("*") if path.is_file()], new.path.exists()
        try:
            new.path.mkdir(parents=True, exist_ok=True)
            for path in there:
                if not (new.path / path.name).exists():
                    shutil.copyfile(path, new.path / path.name)
        except OSError as error:
            if not was_there:
                shutil.rmtree(new.path, ignore_errors=True)
            raise FrameFileError(
                Phrase("The frames cannot be copied to {folder}: {why}.", folder=new.path, why=reason(error))
            ) from error
        for path in there:
            _try_unlink(path)
        self.drop_if_empty()
        return new

    def drop_if_empty(self) -> None:
        """Remove the folder if nothing is in it."""
        try:
            self.path.rmdir()
        except OSError:
            return


def _try_unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return  # a copy stays behind on a disk that has become read-only
