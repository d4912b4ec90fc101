"""A clip in the user's own place, as frames in a folder or as one film: all of it, or nothing."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from elevator.pictures.clip_folder import frame_name, frames_in, is_film
from shared_protocol.machine import files
from shared_protocol.wire import Buffer

from ..failures import StorageFailure
from .failures import ClientFailure, cannot_write

T = TypeVar("T")


def prepare(out: Path, *, overwrite: bool) -> None:
    """Make the folder of the frames, or of the film, and see that it can be written, before hours of work are lost for
    want of it. Raises BackendError."""
    folder = out
    if is_film(out):
        if out.is_dir() or (out.exists() and not overwrite):
            raise in_use(out)
        folder, overwrite = out.parent, True
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not overwrite and frames_in(folder):
            raise in_use(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from error


def in_use(out: Path) -> ClientFailure:
    """What to say of a place that another clip has."""
    return ClientFailure("film_in_use", file=out) if is_film(out) else ClientFailure("folder_in_use", folder=out)


def check_space(out: Path, needed: int) -> None:
    """Raises BackendError if the disk has no room for so many bytes."""
    if shutil.disk_usage(out.parent if is_film(out) else out).free < needed:
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


class NewFilm:
    """A film on its way into a file, which takes its place whole at the end of the block, if nothing failed.

    Raises BackendError if it cannot be written.
    """

    def __init__(self, path: Path, rate: Fraction, *, overwrite: bool) -> None:
        """rate: frames a second."""
        self._path, self._rate, self._overwrite = path, rate, overwrite

    @property
    def count(self) -> int:
        """How many frames it has."""
        return self._film.frames

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the film lies after the block."""
        return (self._path,)

    def write(self, index: int, png: Buffer) -> None:
        """Add the next frame."""
        import numpy as np  # with what it needs, not before a film is wanted: commands begin at once
        from PIL import Image

        with Image.open(io.BytesIO(png)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        self._act(lambda: self._film.add(pixels))

    def __enter__(self) -> Self:
        from elevator.pictures.film import Film

        prepare(self._path, overwrite=self._overwrite)
        self._apart = self._path.with_name(f".{self._path.stem}.{uuid.uuid4().hex}{self._path.suffix}")
        self._film = self._act(lambda: Film(self._apart, self._rate))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._act(lambda: self._film.__exit__(kind, error, trace))
            if kind is None:
                self._act(lambda: files.move(self._apart, self._path))
        finally:
            self._apart.unlink(missing_ok=True)

    def _act(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except OSError as error:
            raise cannot_write(self._path.parent, error) from error


def new_clip(out: Path, rate: Fraction, *, overwrite: bool) -> NewFrames | NewFilm:
    """What takes a clip's frames: a film if `out` is called as one, else a folder."""
    return NewFilm(out, rate, overwrite=overwrite) if is_film(out) else NewFrames(out, overwrite=overwrite)


def is_taken(out: Path) -> bool:
    """Whether a clip lies there."""
    return out.exists() if is_film(out) else bool(frames_in(out))
