"""What is installed here, looked up now and then: drawing must not read files all the time. No bpy."""

from __future__ import annotations

import time

from shared_protocol.machine import places

from ..clip.job import NO_BACKEND, Problem
from . import backend_process
from .backend_process import Install

LOOK_AGAIN_SECONDS = 2.0


class Installation:
    """The backend of this computer, and the profiles of others."""

    def __init__(self) -> None:
        self._looked = float("-inf")
        self._found: Install | Problem = Problem("")
        self._profiles: tuple[str, ...] = ()

    @property
    def found(self) -> Install | Problem:
        """Where the backend is, or why there is none."""
        self._look()
        return self._found

    @property
    def profiles(self) -> tuple[str, ...]:
        """Names of the profiles that `python -m backend profile` has made."""
        self._look()
        return self._profiles

    def _look(self) -> None:
        if time.monotonic() - self._looked <= LOOK_AGAIN_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            self._found = backend_process.find()
        except backend_process.BackendError as error:
            self._found = Problem(error.sentence, error.next_step, error.command, NO_BACKEND)
        self._profiles = tuple(sorted(path.stem for path in places.profiles_folder().glob("*.json")))


installation = Installation()
