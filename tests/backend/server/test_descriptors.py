"""Descriptors: as many as the system allows, and some that are kept back until no others are left."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import psutil
import pytest

from backend.server import descriptors
from backend.server.descriptors import (
    MOST_RESERVED,
    SHARE,
    WANTED,
    Reserve,
    can_open,
    most_descriptors,
    need,
    raise_limit,
)

resource = pytest.importorskip("resource", reason="only POSIX has this limit")
ANY = resource.RLIM_INFINITY
MOST = 240


def there() -> int:
    """How many are open."""
    return psutil.Process().num_fds()


class Hoard:
    """Descriptors that somebody else has taken, so that few are left."""

    def __init__(self) -> None:
        self._all: list[int] = []

    def leave(self, count: int) -> None:
        """Let so many be free."""
        while True:
            try:
                self._all.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        for _ in range(count):
            os.close(self._all.pop())

    def free(self) -> int:
        """How many are."""
        before = len(self._all)
        self.leave(0)
        count = len(self._all) - before
        self.give_back(count)
        return count

    def give_back(self, count: int) -> None:
        for _ in range(count):
            os.close(self._all.pop())

    def close(self) -> None:
        self.give_back(len(self._all))


@pytest.fixture
def hoard() -> Iterator[Hoard]:
    """In a process that may open few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert there() < MOST // 2
    hoard = Hoard()
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, hard))
    yield hoard
    hoard.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("limits", "raised"),
    [
        ((1024, 4096), (4096, 4096)),
        ((1024, 2 * WANTED), (WANTED, 2 * WANTED)),
        ((1024, ANY), (WANTED, ANY)),
        ((4096, 4096), None),
        ((2 * WANTED, ANY), None),
        ((ANY, ANY), None),
    ],
)
def test_as_many_may_be_opened_as_are_wanted_and_allowed(
    limits: tuple[int, int], raised: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: told.append(limits))
    raise_limit()
    assert told == ([] if raised is None else [raised])
    assert most_descriptors() == (WANTED if limits[0] == ANY else limits[0])


@pytest.mark.parametrize("error", [ValueError("not allowed"), OSError(errno.EINVAL, "Invalid argument")])
def test_a_system_that_allows_less_than_it_says_is_no_harm(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: int, limits: tuple[int, int]) -> None:
        raise error

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_limit()


def test_so_many_as_are_needed_are_free_or_it_is_said(hoard: Hoard) -> None:
    hoard.leave(5)
    need(5)
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)) as refused:
        need(6)
    assert refused.value.errno == errno.EMFILE
    assert can_open()
    assert hoard.free() == 5, "all that was tried was closed"
    hoard.leave(0)
    assert not can_open()


def test_a_part_is_kept_back_and_given_free_when_no_others_are_left(hoard: Hoard) -> None:
    kept = MOST // SHARE
    least = kept // 8
    before = hoard.free()
    reserve = Reserve()
    assert hoard.free() == before - kept
    assert not reserve.is_needed()
    hoard.leave(least)
    assert not reserve.is_needed()
    hoard.leave(least - 1)
    assert reserve.is_needed()
    assert hoard.free() == kept + least - 1, "all of them are free"
    hoard.give_back(kept - least)
    assert reserve.is_needed(), "twice as many must be free before any are kept back again"
    assert hoard.free() == 2 * kept - 1
    hoard.give_back(1)
    assert not reserve.is_needed()
    assert hoard.free() == kept
    reserve.release()
    assert hoard.free() == 2 * kept


def test_of_very_few_one_is_kept_back_and_of_very_many_not_more_than_are_of_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for most, kept in ((SHARE - 1, 1), (2 * SHARE, 2), (1 << 20, MOST_RESERVED)):
        monkeypatch.setattr(descriptors, "most_descriptors", lambda most=most: most)
        before = there()
        reserve = Reserve()
        assert there() == before + kept
        reserve.release()
        assert there() == before
