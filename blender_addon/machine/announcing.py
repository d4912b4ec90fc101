"""Tells scripts what becomes of clips: each change once, after the tick that brought it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..clip.job import Job
from ..clip.session import Session

log = logging.getLogger(__name__)

listeners: list[Callable[[Job], None]] = []
"""Told of each clip that has gone on or ended. They outlive the pump: the add-on may be switched off and on."""


class Announcer:
    """What was told last of each job."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._told: dict[str, str] = {}
        self.telling = False
        """Whether a listener is being called: it must not wait, for that takes ticks."""

    def tell(self) -> None:
        """Tell what has changed since the last time."""
        before, self._told = self._told, {}
        changed = []
        for job in list(self._session.jobs.values()):
            now = job.state.name if job.ended else f"{job.state.name} {self._session.status(job)}"
            self._told[job.id] = now
            if before.get(job.id) != now:
                changed.append(job)
        self.telling = True
        try:
            for job in changed:
                for listener in listeners:
                    listener(job)
        finally:
            self.telling = False


def call(handler: Callable[..., None], argument: object) -> None:
    """Call a script's function. Its mistake must not end the timer, nor keep others from hearing: it is logged."""
    try:
        handler(argument)
    except Exception:
        log.exception("A handler of a script failed: %r", handler)
