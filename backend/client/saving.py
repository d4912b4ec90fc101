"""The frames of a clip in a folder of the user's: all of them, or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from elevator.pictures.clip_folder import frame_name, frames_in
from shared_protocol.machine import files
from shared_protocol.wire import Buffer

from ..failures import StorageFailure
from .failures import ClientFailure, cannot_write


def prepare(folder: Path, *, overwrite: bool) -> None:
    """Make the folder and see that it can be written, before hours of work are lost for want of it. Raises
    BackendError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not overwrite and frames_in(folder):
            raise ClientFailure("folder_in_use", folder=folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from error


def check_space(folder: Path, needed: int) -> None:
    """Raises BackendError if the disk has no room for so many bytes."""
    if shutil.disk_usage(folder).free < needed:
        raise StorageFailure("disk_full")


class NewFrames:
    """Frames on their way into a folder. They take their places together at the end of the block, if nothing failed.

    Raises BackendError if something cannot be written, or if frames of another clip lie there and are to stay.
    """

    def __init__(self, folder: Path, *, overwrite: bool) -> None:
        self._folder = folder
        self._overwrite = overwrite
        self._names: list[str] = []

    @property
    def count(self) -> int:
        """How many frames were written."""
        return len(self._names)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the frames lie after the block, in the order in which they were written."""
        return tuple(self._folder / name for name in self._names)

    def write(self, index: int, png: Buffer) -> None:
        """Write frame `index`, counted from 0."""
        name = frame_name(index)
        try:
            with (self._apart / name).open("xb") as file:
                file.write(png)
                file.flush()
                os.fsync(file.fileno())  # the backend will hear that it may delete its own copy
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        self._names.append(name)

    def __enter__(self) -> Self:
        prepare(self._folder, overwrite=self._overwrite)
        try:
            self._apart = Path(tempfile.mkdtemp(prefix=".elevator-", dir=self._folder))
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._place()
        except OSError as problem:
            raise cannot_write(self._folder, problem) from problem
        finally:
            shutil.rmtree(self._apart, ignore_errors=True)

    def _place(self) -> None:
        for path in frames_in(self._folder):
            files.patiently(path.unlink)
        for name in self._names:
            files.move(self._apart / name, self._folder / name)
        files.sync_folder(self._folder)
