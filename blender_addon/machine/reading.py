"""Has the pictures read that clips start from, and brought to the backend, by a process with the backend's Python.

Reading a movie or a large picture takes longer than Blender may be held up, and Blender's Python has no codecs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from shared_protocol.starting import clean_environment

from ..clip.actions import Action, Read
from ..clip.session import Session
from ..clip.words import Phrase, phrase
from .backend_process import BackendError, find

MODULE = "backend.client.strip_pictures"
ASKED, TOLD, SAID = "asked.json", "told.json", "said.txt"


class ReadError(Exception):
    """The pictures could not be had. The text is one sentence."""


class _Told(msgspec.Struct, frozen=True):
    """What the process says: the hashes under which the backend has the pictures."""

    footage: tuple[str, ...]
    anchor: str


class Reading:
    """One process that reads."""

    def __init__(self, action: Read, profile: str) -> None:
        """Start it, to bring them to the backend of this profile; empty: this computer's. Raises ReadError."""
        try:
            install = find()
        except BackendError as error:
            raise ReadError(
                Phrase("The pictures cannot be read: {sentence}", sentence=phrase(error.sentence))
            ) from error
        quiet: dict[str, Any] = {}
        if sys.platform == "win32":
            quiet["creationflags"] = subprocess.CREATE_NO_WINDOW
        asked = {
            "width": action.width,
            "height": action.height,
            "footage": action.pictures.footage,
            "anchor": action.pictures.anchor,
            "profile": profile,
        }
        self._folder = Path(tempfile.mkdtemp(prefix="elevator-"))
        try:
            (self._folder / ASKED).write_bytes(msgspec.json.encode(asked))
            with (self._folder / SAID).open("wb") as said:
                self._process = subprocess.Popen(
                    [str(install.python), "-m", MODULE, str(self._folder)],
                    cwd=install.root,
                    env=clean_environment(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    **quiet,
                )
        except OSError as error:
            self._tidy()
            raise ReadError(Phrase("The pictures cannot be read: {why}.", why=error.strerror or str(error))) from error

    def poll(self) -> _Told | None:
        """The hashes, once they are known. Never blocks. Raises ReadError."""
        code = self._process.poll()
        if code is None:
            return None
        try:
            if code:
                words = (self._folder / SAID).read_text(encoding="utf-8", errors="replace").strip().splitlines()
                nothing = Phrase("The pictures could not be read (exit code {code}).", code=code)
                raise ReadError(words[-1] if words else nothing)
            return msgspec.json.decode((self._folder / TOLD).read_bytes(), type=_Told)
        except OSError as error:
            raise ReadError(
                Phrase("The pictures could not be read: {why}.", why=error.strerror or str(error))
            ) from error
        finally:
            self._tidy()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        self._tidy()

    def _tidy(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class Readings:
    """What is being read, for which jobs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._under_way: dict[str, Reading] = {}

    def read(self, action: Read, profile: str) -> Iterable[Action]:
        """Begin to read for a job, which the backend of this profile makes."""
        self.stop(action.job)
        try:
            self._under_way[action.job] = Reading(action, profile)
        except ReadError as error:
            return self._session.could_not_read(action.job, str(error))
        return ()

    def look(self) -> Iterable[Action]:
        """What has come of it."""
        for job, reading in list(self._under_way.items()):
            try:
                told = reading.poll()
            except ReadError as error:
                del self._under_way[job]
                yield from self._session.could_not_read(job, str(error))
            else:
                if told is not None:
                    del self._under_way[job]
                    yield from self._session.pictures_read(job, told.footage, told.anchor)

    def stop(self, job: str) -> None:
        """Nobody wants a job's pictures any more."""
        reading = self._under_way.pop(job, None)
        if reading is not None:
            reading.stop()

    def close(self) -> None:
        """End what is under way."""
        for job in list(self._under_way):
            self.stop(job)
