"""When a queue that has stopped goes on again, second by second and byte by byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import msgspec
import pytest

from backend.server.hold import (
    LEAST_PAUSE,
    MOST_PAUSE,
    ROOM_SECONDS,
    SPARE_BYTES,
    SPARE_FILES,
    Hold,
    files_for,
    room_for,
)
from backend.server.jobs import Job, Owner
from backend.server.keys import check_public_key
from backend.server.results import ResultStore
from backend.server.store import JobStore
from tests.backend.orders import order


@dataclass
class Disk:
    """A clock and a disk that the tests set."""

    now: float = 100.0
    bytes: int = 0
    files: int | None = None

    def free(self) -> int:
        return self.bytes

    def files_left(self) -> int | None:
        return self.files


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def hold(disk: Disk) -> Hold:
    return Hold(JobStore(None), cast(ResultStore, disk), lambda: disk.now)


@pytest.fixture
def job() -> Job:
    return Job("0" * 32, Owner("local", "1" * 32), msgspec.structs.replace(order(), frames=5, width=16, height=8))


def test_a_clip_needs_its_pixels_and_some_more(job: Job) -> None:
    assert room_for(job) == 5 * 16 * 8 * 3 + SPARE_BYTES
    assert files_for(job) == 5 + SPARE_FILES


def test_what_passes_is_tried_again_after_longer_and_longer(hold: Hold, disk: Disk) -> None:
    pause = LEAST_PAUSE
    waited: list[float] = []
    for k in range(10):
        assert hold.stop("No process is to be had.", passing=True) is (k == 0), "it is news once"
        disk.now += pause - 0.01
        assert hold.active
        assert not hold.went_well()
        disk.now += 0.01
        assert not hold.active
        waited.append(pause)
        pause = min(2 * pause, MOST_PAUSE)
    assert waited[-1] == MOST_PAUSE
    assert hold.went_well()
    assert not hold.went_well(), "it is news once"
    assert hold.stopped == ""
    hold.stop("No process is to be had.", passing=True)
    disk.now += LEAST_PAUSE
    assert not hold.active, "the next time it begins anew"


def test_a_full_disk_is_waited_for_also_after_something_that_passes(hold: Hold, disk: Disk, job: Job) -> None:
    hold.stop("No process is to be had.", passing=True)
    disk.bytes = 1000
    assert hold.stop("The disk is full.")
    disk.now += 10 * MOST_PAUSE
    assert hold.active, "time alone makes no room"
    disk.bytes += room_for(job) - 1
    assert not hold.ends(job)
    disk.now += ROOM_SECONDS
    disk.bytes += 1
    assert not hold.ends(None), "there is nothing to go on with"
    assert hold.ends(job)
    assert not hold.active
    assert not hold.ends(job)


def test_it_looks_for_room_every_few_seconds(hold: Hold, disk: Disk, job: Job) -> None:
    hold.stop("The disk is full.")
    disk.now += ROOM_SECONDS
    assert not hold.ends(job)
    disk.bytes += room_for(job)
    disk.now += ROOM_SECONDS - 0.01
    assert not hold.ends(job)
    disk.now += 0.02
    assert hold.ends(job)


def test_a_disk_that_took_no_more_files_takes_them_again(hold: Hold, disk: Disk, job: Job) -> None:
    disk.files = files_for(job) - 1
    hold.stop("The disk takes no more files.")
    disk.now += ROOM_SECONDS
    assert not hold.ends(job)
    disk.files += 1
    disk.now += ROOM_SECONDS
    assert hold.ends(job)
    hold.stop("The disk is full.")
    disk.now += ROOM_SECONDS
    disk.files += 100
    assert not hold.ends(job), "files were not what was lacking"


def test_what_passes_does_not_wait_for_room(hold: Hold, disk: Disk, job: Job) -> None:
    hold.stop("No process is to be had.", passing=True)
    disk.bytes += 10 * room_for(job)
    disk.now += ROOM_SECONDS
    assert not hold.ends(job)
    hold.pause(paused=True)
    assert hold.active
    hold.pause(paused=False)
    assert (hold.active, hold.stopped) == (False, ""), "somebody has said that it goes on"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("a" * 39, "40 characters"),
        ("a" * 41, "40 characters"),
        ("é" + "a" * 39, "not of Z85"),
        ("~" + "a" * 39, "not of Z85"),
        ("#" * 40, "more than four bytes"),
    ],
)
def test_keys_that_are_none_are_told_why(key: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_public_key(key)
