"""One job of the backend, from Python: its events, how it ends, its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Done,
    Event,
    Failed,
    Fetch,
    Frame,
    Received,
    Terminal,
)
from shared_protocol.wire import Buffer, Incoming

from .conversation import Conversation
from .failures import ClientFailure, SaidByBackend
from .saving import new_clip

FETCH_FRAMES = 16
"""How many frames are asked for at once."""


class Job:
    """One job of the backend, as this conversation knows it."""

    def __init__(self, job_id: str, talk: Conversation, next_event: Callable[[Job], Incoming]) -> None:
        """For Backend alone; use its `submit`, `conform` and `job`.

        next_event: waits for the next event of this job, and sets `end` if it is the last.
        """
        self.id = job_id
        self.accepted: Accepted | None = None
        """The answer to `submit` or `conform`: place in the queue, warnings."""
        self.end: Terminal | None = None
        """How the job has ended; None until its last event was read."""
        self._talk, self._next_event = talk, next_event

    def __repr__(self) -> str:
        return f"Job({self.id})"

    def events(self) -> Iterator[Event]:
        """What happens to the job, as it happens, until it has ended; the last one is `Done`, `Failed` or `Cancelled`.

        `Queue` comes between, when jobs are no longer started or are again. Events wait until they are read. Whoever
        stops early may go on later. Raises BackendError if the connection is lost; the job goes on then.
        """
        while self.end is None:
            yield self._next_event(self).message  # type: ignore[misc]

    def wait(self) -> Done:
        """Read all events up to the end. Raises BackendError if the job has failed or was cancelled."""
        for _ in self.events():
            pass
        return self.result()

    def result(self) -> Done:
        """How the job has ended. Raises BackendError if there is no clip."""
        match self.end:
            case Done():
                return self.end
            case Failed():
                raise SaidByBackend(self.end)
            case Cancelled():
                raise ClientFailure("cancelled")
            case None:
                raise ClientFailure("job_not_followed", job=self.id)

    def cancel(self) -> None:
        """Ask for the job's end. It has ended when its last event says so."""
        self._talk.tell(Cancel(job=self.id))

    def fetch(self, out: str | PathLike[str], *, overwrite: bool = False) -> tuple[Path, ...]:
        """Wait for the end, and write the clip's frames into the folder `out`: frame_0001.png and so on; or, if its
        name ends in .mp4, .webm or .gif, into one film at the clip's rate. The files that were written.

        Either all is there afterwards or nothing is new. Another clip is in the way, or goes if `overwrite`. The
        backend may then delete its own copy when room is needed. Raises BackendError.
        """
        done = self.wait()
        with new_clip(Path(out), done.fps, overwrite=overwrite) as frames:
            for index, png in self.frames():
                frames.write(index, png)
            if frames.count != done.frames:
                raise ClientFailure("frames_missing", count=done.frames - frames.count)
        self.received()
        return frames.paths

    def frames(self) -> Iterator[tuple[int, Buffer]]:
        """Index and PNG of each frame of the finished clip, in order. Raises BackendError."""
        count = self.result().frames
        for first in range(0, count, FETCH_FRAMES):
            name = self._talk.send(Fetch(job=self.id, first=first, count=min(FETCH_FRAMES, count - first)))
            batch = []  # whole, so that whoever stops early leaves no answers behind
            while isinstance((answer := self._talk.answer(name)).message, Frame):
                batch.append((answer.message.index, answer.buffers[0]))
            yield from batch

    def received(self) -> None:
        """Say that nothing more is wanted of an ended job."""
        self._talk.tell(Received(job=self.id))
