"""Results on the disk: one folder for each finished clip, which is there whole or not at all.

The worker writes into `.partial-JOB`; the server gives that folder its name, JOB, when everything in it is on the
disk. In the folder lie `frame_0001.png` and so on, what else the worker made, and `result.json`, from which a lost
database can be built again. What is deleted loses its name at once and its files little by little, so that nobody waits
for thousands of them; what is left of it at the end of the process goes after the next start. One thread of one process
uses a store.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from elevator.pictures.clip_folder import frame_name
from shared_protocol.machine import files

log = logging.getLogger(__name__)

RESULT_FILE = "result.json"
MAX_RESULT_FILE = 4 << 20
"""More than any result.json has, bytes."""
PARTIAL = ".partial-"
FORGOTTEN = ".forgotten-"
FILES_AT_ONCE = 50
"""So many are deleted before somebody else has a turn;"""
CLEAR_SECONDS = 0.01
"""and fewer where the disk takes longer."""
_JOB = re.compile(r"[0-9a-f]{32}")


def to_drop(
    received: Sequence[tuple[str, int]], count: int, size: int, *, max_count: int, max_bytes: int
) -> tuple[str, ...]:
    """Which results must go so that at most `max_count` of at most `max_bytes` in all stay.

    received: results that their clients have taken, with their bytes, the oldest first. Only these go, and no more of
        them than needed: what no client has fetched stays, even if there is too much of it.
    count, size: of all results, received or not.
    """
    dropped = []
    for job, its_bytes in received:
        if count <= max_count and size <= max_bytes:
            break
        dropped.append(job)
        count, size = count - 1, size - its_bytes
    return tuple(dropped)


class ResultStore:
    """The folder of results. Every method raises OSError as it comes, ValueError for what is no name of a job."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Makes `root` if it is missing. `clock`: seconds that go forward. Raises OSError."""
        files.make_folder(root)
        self._root, self._clock = root, clock
        self._waste: dict[Path, None] = {}
        """Folders that are nobody's any more, in their order."""

    def folder(self, job: str) -> Path:
        """Where the result of a job lies or would lie."""
        return self._root / _checked(job)

    def has(self, job: str) -> bool:
        """Whether the result of a job is there."""
        return (self.folder(job) / RESULT_FILE).is_file()

    def free(self) -> int:
        """Bytes that are free on this disk."""
        return shutil.disk_usage(self._root).free

    def files_left(self) -> int | None:
        """How many further files this disk takes; None where no number limits them."""
        if not hasattr(os, "statvfs"):
            return None
        disk = os.statvfs(self._root)
        return disk.f_favail if disk.f_files else None

    def size(self, job: str) -> int:
        """Bytes of a result. Raises FileNotFoundError."""
        with os.scandir(self.folder(job)) as files:
            return sum(file.stat().st_size for file in files)

    def partial(self, job: str) -> Path:
        """An empty folder for the worker. What an earlier try has left is deleted."""
        folder = self._partial(job)
        self._throw_away(folder)
        self.clear()
        folder.mkdir(mode=0o700)
        return folder

    def publish(self, job: str, done: bytes) -> int:
        """Make a partial folder the result of its job. Returns its bytes.

        done: what result.json holds, a JSON object; its `frames`, if it has that field, is how many frames there are.
        When this returns, the result is on the disk under its name. A second call changes nothing, so that it can
        follow a crash. Raises FileNotFoundError if there is neither result nor partial folder.
        """
        partial, folder = self._partial(job), self.folder(job)
        if self.has(job):
            self._throw_away(partial)
            self.clear()
        else:
            files.write(partial / RESULT_FILE, done)
            files.sync_folder(partial)
            partial.rename(folder)
        files.sync_folder(self._root)  # in both cases: the crash may have come before it
        return self.size(job)

    def frame(self, job: str, index: int) -> bytes:
        """A frame of a result, counted from 0, as a PNG file. Raises FileNotFoundError."""
        return (self.folder(job) / frame_name(index)).read_bytes()

    def forget(self, job: str) -> None:
        """Delete what a job has left; nothing happens if that is nothing. Of many files some are left to `clear`."""
        self.put_away(job)
        self.clear()

    def put_away(self, *jobs: str) -> None:
        """What these jobs have left is seen no more. Its files go with `clear`."""
        for job in jobs:
            # Half a result must never be seen, so it loses its name first.
            for folder in (self._partial(job), self.folder(job), self._root / f"{FORGOTTEN}{job}"):
                self._throw_away(folder)

    def sweep(self) -> frozenset[str]:
        """Delete what was left half-written or half-deleted, as `forget` does. Returns the jobs that have folders."""
        with os.scandir(self._root) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            if name.startswith((PARTIAL, FORGOTTEN)):
                try:
                    self._throw_away(self._root / name)
                except OSError as error:  # it hinders nobody, and the next start tries again
                    log.warning("What is left of a clip could not be deleted: %s.", error)
        self.clear()
        return frozenset(filter(_JOB.fullmatch, names))

    def clear(self) -> bool:
        """Delete some of the files that are seen no more. Whether there were any. What cannot be deleted is left to the
        next start."""
        there, until = bool(self._waste), self._clock() + CLEAR_SECONDS
        with closing(self._deletions()) as deletions:
            for number, _ in enumerate(deletions, 1):
                if number >= FILES_AT_ONCE or self._clock() >= until:
                    break
        return there

    @property
    def is_clear(self) -> bool:
        """Whether nothing is left to `clear`."""
        return not self._waste

    def found(self, jobs: Iterable[str] | None = None) -> Iterator[tuple[str, bytes]]:
        """Whole results of these jobs, or all: name of the job and result.json, in no order. What is no result of ours
        is passed over."""
        for job in os.listdir(self._root) if jobs is None else jobs:
            folder = self._root / job
            if _JOB.fullmatch(job) and folder.is_dir() and not folder.is_symlink():
                done = _result_of(folder)
                if done is not None:
                    yield job, done

    def _deletions(self) -> Generator[None]:
        """Delete all that is seen no more, file by file."""
        while self._waste:
            folder = next(iter(self._waste))
            try:
                yield from _empty(folder)
            except OSError as error:
                log.warning("What is deleted could not be deleted wholly: %s.", error)
            del self._waste[folder]

    def _throw_away(self, folder: Path) -> None:
        """Let a folder be seen no more, if it is there; what is none is deleted."""
        if not folder.is_dir() or folder.is_symlink():
            folder.unlink(missing_ok=True)
            return
        if not folder.name.startswith(FORGOTTEN):
            # A name that no other has: of one job, much may lie there still.
            folder = folder.rename(self._root / f"{FORGOTTEN}{folder.name[-32:]}-{uuid.uuid4().hex}")
        self._waste[folder] = None

    def _partial(self, job: str) -> Path:
        return self._root / f"{PARTIAL}{_checked(job)}"


class _Result(msgspec.Struct):
    frames: int = 0


def _result_of(folder: Path) -> bytes | None:
    """result.json of a whole result; None for another folder."""
    try:
        with (folder / RESULT_FILE).open("rb") as file:
            done = file.read(MAX_RESULT_FILE)
        frames = msgspec.json.decode(done, type=_Result).frames
        with os.scandir(folder) as entries:
            there = {entry.name for entry in entries if entry.is_file()}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return done if all(frame_name(index) in there for index in range(frames)) else None


def _checked(job: str) -> str:
    if not _JOB.fullmatch(job):
        raise ValueError("a job has 32 hex digits as its name")
    return job


def _empty(folder: Path) -> Iterator[None]:
    """Delete a folder, file by file."""
    with suppress(FileNotFoundError):  # somebody else has deleted it
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)  # not ours, and so hardly large
                else:
                    os.unlink(entry.path)
                yield
        folder.rmdir()
    yield
