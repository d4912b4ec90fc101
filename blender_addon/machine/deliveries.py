"""Frames on their way from the backend into the project: copied by a process, or written as they are fetched."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ..clip.actions import Action, Copy, Write
from ..clip.session import Session
from ..clip.words import Phrase, phrase, sentences
from .backend_process import BackendError, find
from .copying import CopyError, Copying, NothingThereError
from .frame_folder import FrameFileError, FrameFolder


class Deliveries:
    """What is on its way. `spare`: a folder to take when the project's cannot be written."""

    def __init__(self, session: Session, spare: Callable[[], Path]) -> None:
        self._session = session
        self._spare = spare
        self._under_way: dict[str, tuple[Copy, Copying]] = {}

    def copy(self, action: Copy) -> Iterable[Action]:
        """Begin to copy a clip."""
        job = self._session.jobs[action.job]
        folder = FrameFolder.of(job)
        if folder.holds(job.frames):
            return self._session.copied(action.job)
        try:
            self._under_way[action.job] = action, Copying(_python(), action.source, str(folder.path))
        except CopyError as error:
            return self._session.could_not_fill(action.job, str(error))
        return ()

    def look(self) -> Iterable[Action]:
        """What has become of the copies."""
        for job, (action, copying) in list(self._under_way.items()):
            try:
                if not copying.poll():
                    continue
            except NothingThereError as error:
                del self._under_way[job]
                yield from self._session.could_not_fill(job, str(error))
            except CopyError as error:
                del self._under_way[job]
                yield from self._elsewhere(action, str(error))
            else:
                del self._under_way[job]
                yield from self._session.copied(job)

    def write(self, action: Write) -> Iterable[Action]:
        """Write one frame that was fetched."""
        folder = FrameFolder.of(self._session.jobs[action.job])
        try:
            folder.write(action.index, action.data)
        except FrameFileError as first:
            try:
                folder = folder.move_to(self._spare())
                folder.write(action.index, action.data)
            except FrameFileError:
                return self._session.could_not_write(action.job, str(first))
            return [*self._moved(action.job, folder, str(first)), *self._session.wrote(action.job, action.index)]
        return self._session.wrote(action.job, action.index)

    def drop(self, job: str) -> None:
        """The job has ended: copy no further."""
        if job in self._under_way:
            self._under_way.pop(job)[1].stop()

    def follow_to(self, parent: Path) -> Iterable[Action]:
        """The open file got its place: what is on its way shall go there. Raises FrameFileError."""
        for job in self._session.active:
            if job.seen is None or not job.has_frames or Path(job.folder).parent == parent:
                continue
            action, _ = self._under_way.get(job.id, (None, None))
            self.drop(job.id)
            folder = FrameFolder.of(job)
            if action is None or folder.holds(job.frames):  # a copy may have ended just now
                yield from self._session.moved(job.id, str(folder.move_to(parent).path))
            else:
                yield from self._session.moved(job.id, str(parent / folder.path.name))
            if action is not None:
                yield action

    def close(self) -> None:
        """End what is under way. The backend keeps its clips."""
        for _, copying in self._under_way.values():
            copying.stop()
        self._under_way.clear()

    def _elsewhere(self, action: Copy, why: str) -> Iterable[Action]:
        """The project's folder cannot be written: try the spare one, once."""
        job = self._session.jobs[action.job]
        if job.ended:
            return ()
        spare = FrameFolder(self._spare() / Path(job.folder).name)
        if spare.path == Path(job.folder):
            return self._session.could_not_write(action.job, why)
        return [*self._moved(action.job, spare, why), action]

    def _moved(self, job: str, folder: FrameFolder, why: str) -> Iterable[Action]:
        instead = Phrase("The frames are in {folder} instead.", folder=folder.path)
        return self._session.moved(job, str(folder.path), sentences(why, instead))


def _python() -> str:
    """An interpreter for the copying: Blender's own, or else the backend's. Raises CopyError."""
    if "python" in Path(sys.executable).name.lower():
        return sys.executable
    try:
        return str(find().python)
    except BackendError as error:
        raise CopyError(Phrase("The frames cannot be copied: {sentence}", sentence=phrase(error.sentence))) from error
