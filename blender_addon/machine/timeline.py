"""Keeps the edit and the session in step: strips that wait get their clips, and clips whose strips have gone end.

Undo, redo, loading, copies and other files change the edit at any time; so nothing is remembered about strips. They
are looked at again and again, and what they carry says everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
import msgspec

from shared_protocol.client import new_job_id

from ..blender import clips, strips
from ..blender.clips import ClipError, Held
from ..clip.actions import Action
from ..clip.job import Job, State
from ..clip.session import Session
from .frame_folder import FrameFolder

LOOK_SECONDS = 0.5
"""How often the edit is looked at while clips are made."""
NAME_SECONDS = 1.0
"""How often the names of strips say how far their clips are."""


class Timeline:
    """The strips of the open file that belong to clips."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._looked = self._named = float("-inf")

    def due(self, now: float) -> bool:
        """Whether it is time to look again."""
        return now - self._looked >= LOOK_SECONDS

    def look_at_once(self) -> None:
        """The edit has changed under us."""
        self._looked = self._named = float("-inf")

    def look(self, now: float) -> Iterator[Action]:
        """Compare the edit with the session."""
        self._looked = now
        waiting: dict[str, list[Held]] = {}
        busy = strips.hands_are_busy(bpy.context)
        for each in clips.held():
            if not each.filled and not self._shown_again(each):
                waiting.setdefault(each.ticket.job, []).append(each)
        for job_id in () if busy else self._session.come_back(waiting):
            again = self._ask_again(waiting.pop(job_id))
            waiting |= again
            yield from self._submit(again)
        for job_id, held in waiting.items():
            job = self._session.jobs.get(job_id)
            if job is None or (job.state is State.DONE and not busy):  # its frames went to another file's folder
                yield from self._session.adopt(held[0].ticket.request, str(held[0].folder))
        yield from self._session.see({job: str(held[0].folder) for job, held in waiting.items()})
        self._show_states(waiting, now)

    def fill(self) -> Iterator[Action]:
        """Show the clips whose frames are here. To be called when nobody's hands are in the edit."""
        for job in [job for job in self._session.active if job.state is State.FILLING and job.seen is not None]:
            try:
                for each in clips.held():
                    if each.ticket.job == job.id and not each.filled:
                        clips.fill(each, Path(job.folder))
            except ClipError as error:
                yield from self._session.could_not_fill(job.id, str(error))
            else:
                yield from self._session.filled(job.id)

    def mend(self) -> bool:
        """After undo, redo or loading: show again at once what was shown before. Whether clips are still waited for."""
        waits = False
        for each in clips.held():
            if not _needs_frames(each):
                continue
            home = _home(each)
            if home is None:
                waits = True
            elif each.filled:
                strips.show(each.strip, home, [element.filename for element in each.strip.elements])
            else:
                clips.fill(each, home)
        self.look_at_once()
        return waits

    def try_again(self, job_id: str, seed: int | None = None) -> Iterator[Action]:
        """Ask anew for a clip whose strips are there."""
        held = [each for each in clips.held() if each.ticket.job == job_id]
        if held:
            yield from self._submit(self._ask_again(held, seed))
            self.look_at_once()

    # Inside -------------------------------------------------------------------------------------------------

    def _shown_again(self, each: Held) -> bool:
        """Whether the strip is a late copy of one that has its clip, and now shows it, too."""
        job = self._session.jobs.get(each.ticket.job)
        if job is None or job.state is not State.DONE or strips.hands_are_busy(bpy.context):
            return False
        home = _home(each)
        if home is not None:
            clips.fill(each, home)
        return home is not None

    def _ask_again(self, held: list[Held], seed: int | None = None) -> dict[str, list[Held]]:
        """Give strips a ticket of another job."""
        job = new_job_id()
        ticket = held[0].ticket.again(job, held[0].ticket.folder, seed)
        ticket = msgspec.structs.replace(ticket, folder=clips.folder_name(ticket.request))
        for each in held:
            clips.exchange(each, ticket)
        return {job: [Held(each.scene, each.strip, ticket) for each in held]}

    def _submit(self, waiting: dict[str, list[Held]]) -> Iterator[Action]:
        for held in waiting.values():
            yield from self._session.submit(held[0].ticket.request, str(held[0].folder), held[0].ticket.pictures)

    def _show_states(self, waiting: dict[str, list[Held]], now: float) -> None:
        if now - self._named < NAME_SECONDS or strips.hands_are_busy(bpy.context):
            return
        self._named = now
        for job_id, held in waiting.items():
            job = self._session.jobs.get(job_id)
            for each in held:
                _show_state(each, job)


def _show_state(each: Held, job: Job | None) -> None:
    if job is None:
        return
    if job.state in (State.FAILED, State.CANCELLED):
        if each.strip.color_tag != clips.FAILED_COLOR:
            clips.show_failed(each)
    elif job.state is not State.DONE:
        clips.show_waiting(each, job)


def _needs_frames(each: Held) -> bool:
    """Whether the strip does not show its clip, or its files are not where it looks for them."""
    return not each.filled or not FrameFolder(each.folder).begins()


def _home(each: Held) -> Path | None:
    """Where all of the clip's frames are, if they are anywhere: undo may have brought an older place back."""
    places = (each.folder, clips.parent_folder() / each.ticket.folder, clips.spare_folder() / each.ticket.folder)
    return next((place for place in places if FrameFolder(place).holds(each.ticket.request.frames)), None)
