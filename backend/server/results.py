"""Results on the disk: one folder for each finished clip, which is there whole or not at all.

The worker writes into `.partial-JOB`; the server gives that folder its name, JOB, when everything in it is on the
disk. In the folder lie `frame_0001.png` and so on, what else the worker made, and `result.json`, from which a lost
database can be built again. One thread of one process uses a store.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from elevator.pictures.clip_folder import frame_name
from shared_protocol.machine import files

RESULT_FILE = "result.json"
MAX_RESULT_FILE = 4 << 20
"""More than any result.json has, bytes."""
PARTIAL = ".partial-"
FORGOTTEN = ".forgotten-"
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

    def __init__(self, root: Path) -> None:
        """Makes `root` if it is missing. Raises OSError."""
        files.make_folder(root)
        self._root = root

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
        _remove(folder)
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
            _remove(partial)
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
        """Delete what a job has left; nothing happens if that is nothing."""
        folder, forgotten = self.folder(job), self._root / f"{FORGOTTEN}{job}"
        _remove(self._partial(job))
        _remove(forgotten)
        if folder.is_dir():
            # Half a result must never be seen, so it loses its name first.
            folder.rename(forgotten)
            _remove(forgotten)

    def sweep(self) -> None:
        """Delete what was left half-written or half-deleted."""
        for folder in self._root.iterdir():
            if folder.name.startswith((PARTIAL, FORGOTTEN)):
                _remove(folder)

    def found(self, but: Callable[[str], bool] = lambda job: False) -> Iterator[tuple[str, bytes]]:
        """All whole results: name of the job and result.json, in no order. What is no result of ours is passed over,
        and so are the jobs that are `but` true of."""
        for folder in self._root.iterdir():
            if not _JOB.fullmatch(folder.name) or but(folder.name):
                continue
            if folder.is_dir() and not folder.is_symlink():
                done = _result_of(folder)
                if done is not None:
                    yield folder.name, done

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
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return done if all((folder / frame_name(index)).is_file() for index in range(frames)) else None


def _checked(job: str) -> str:
    if not _JOB.fullmatch(job):
        raise ValueError("a job has 32 hex digits as its name")
    return job


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
