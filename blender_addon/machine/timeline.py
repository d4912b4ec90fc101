"""Keeps the edit and the session in step: strips that wait get their clips, and clips whose strips have gone end.

Undo, redo, loading, copies and other files change the edit at any time; so nothing is remembered about strips. They
are looked at again and again, and what they carry says everything. Only the folders in which clips lay are remembered:
after Save As, undo brings back paths from the old file's folder, which lead nowhere from the new one's.
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
from ..clip.ticket import Ticket
from .copying import copy
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
        self._parents: dict[Path, None] = {}
        """Where clips' folders have been, in this Blender."""
        self._seen: set[str] = set()
        """Folders of all clips that were in a strip since the file was opened: undo may bring them back."""

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
        hidden: dict[str, tuple[Ticket, str]] = {}
        busy = strips.hands_are_busy(bpy.context)
        for each in clips.held():
            self._remember(each)
            hidden |= self._hidden(each)
            if not each.filled and not self._shown_again(each):
                waiting.setdefault(each.ticket.job, []).append(each)
        wanted = [job for job, (first, *_) in waiting.items() if not busy and not clips.says_failed(first)]
        for job_id in self._session.come_back(wanted):
            again = self._ask_again(waiting.pop(job_id))
            waiting |= again
            yield from self._submit(again)
        for job_id, (first, *_) in waiting.items():
            job = self._session.jobs.get(job_id)
            if job is None or (job.state is State.DONE and not busy):  # its frames went to another file's folder
                yield from self._session.adopt(first.ticket.request, str(first.folder))
        for job_id, (ticket, folder) in hidden.items():
            if job_id not in self._session.jobs:
                yield from self._session.adopt(ticket.request, folder)
        shown = {job: str(first.folder) for job, (first, *_) in waiting.items()}
        yield from self._session.see({job: folder for job, (_, folder) in hidden.items()} | shown)
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
            self._remember(each)
            if not _needs_frames(each):
                continue
            home = self._home(each)
            if home is None:
                waits = True
            elif each.filled:
                clips.show_from(each, home)
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

    def next_take(self, each: Held) -> None:
        """Let a strip show its next take, or wait for it."""
        ticket = each.ticket.next()
        clips.exchange(each, ticket)
        now = Held(each.scene, each.strip, ticket)
        if (home := self._home(now)) is not None:
            clips.fill(now, home)
        self.look_at_once()

    def leave_file(self) -> None:
        """Another file is being opened: there is no undo from it into this one."""
        self._seen.clear()

    def in_use(self) -> set[str]:
        """Names of the folders of clips that the open file shows, may show again after undo, or waits for."""
        for each in clips.held():
            self._remember(each)
        return self._seen | {Path(job.folder).name for job in self._session.active}

    def collect(self) -> tuple[int, int]:
        """Have all frames beside the .blend. How many clips were copied, and how many were found nowhere. Raises
        CopyError and FrameFileError."""
        parent, copied, missing = clips.parent_folder(), set(), set()
        for each in list(clips.held()):
            self._remember(each)
            if not each.filled:
                clips.wait_in(each, parent)
                continue
            home = self._home(each)
            if home is None:
                missing.add(each.ticket.folder)
            elif each.folder != parent / each.ticket.folder:
                for folder in each.ticket.folders if home.parent != parent else ():
                    if (home.parent / folder).is_dir():
                        copy(home.parent / folder, parent / folder)
                        copied.add(folder)
                clips.show_from(each, parent / each.ticket.folder)
        return len(copied), len(missing)

    # Inside -------------------------------------------------------------------------------------------------

    def _hidden(self, each: Held) -> dict[str, tuple[Ticket, str]]:
        """The takes of a strip that it does not show, and whose frames are not there yet: tickets and folders."""
        parent, frames = each.folder.parent, each.ticket.frames
        return {
            take.job: (each.ticket.of(take), str(parent / take.folder))
            for take in each.ticket.takes
            if not FrameFolder(parent / take.folder).holds(frames)
        }

    def _remember(self, each: Held) -> None:
        self._parents[each.folder.parent] = None
        self._seen.update(each.ticket.folders)

    def _shown_again(self, each: Held) -> bool:
        """Whether the strip is a late copy of one that has its clip, and now shows it, too."""
        job = self._session.jobs.get(each.ticket.job)
        if job is None or job.state is not State.DONE or strips.hands_are_busy(bpy.context):
            return False
        home = self._home(each)
        if home is not None:
            clips.fill(each, home)
        return home is not None

    def _home(self, each: Held) -> Path | None:
        """Where all of the clip's frames are, if they are anywhere: undo may have brought an older place back."""
        parents = (clips.parent_folder(), each.folder.parent, clips.spare_folder(), *self._parents)
        places = (parent / each.ticket.folder for parent in dict.fromkeys(parents))
        return next((place for place in places if FrameFolder(place).holds(each.ticket.frames)), None)

    def _ask_again(self, held: list[Held], seed: int | None = None) -> dict[str, list[Held]]:
        """Give strips a ticket of another job."""
        job, (first, *_) = new_job_id(), held
        before = first.ticket
        ticket = before.again(job, before.folder, seed)
        ticket = msgspec.structs.replace(ticket, folder=clips.folder_name(ticket.request))
        if seed is not None and first.filled:
            ticket = msgspec.structs.replace(ticket, takes=(*before.takes, before.take))
        for each in held:
            clips.exchange(each, ticket)
        return {job: [Held(each.scene, each.strip, ticket) for each in held]}

    def _submit(self, waiting: dict[str, list[Held]]) -> Iterator[Action]:
        for first, *_ in waiting.values():
            yield from self._session.submit(first.ticket.request, str(first.folder), first.ticket.pictures)

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
            clips.show_failed(each, cancelled=job.state is State.CANCELLED)
    elif job.state is not State.DONE:
        clips.show_waiting(each, job)


def _needs_frames(each: Held) -> bool:
    """Whether the strip does not show its clip, or its files are not where it looks for them."""
    return not each.filled or not FrameFolder(each.folder).begins()
