"""A clip that is made and whose folder cannot get its name: it waits for that, and nothing is made twice."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from backend.orders import Ready
from backend.server.endings import PATIENCE_SECONDS, PLACE_SECONDS
from shared_protocol.messages import Cancelled, Done, Notice, Queue
from tests.backend.server.test_scheduler import A, B, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    return stage


class Scanner:
    """Has every new file of results open, so that no folder gets another name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error = errno.EACCES
        self.refused = 0
        self._rename = Path.rename
        monkeypatch.setattr(Path, "rename", lambda old, new: self.rename(old, new))

    def rename(self, old: Path, new: Path) -> Path:
        if self.error and old.name.startswith(".partial-"):
            self.refused += 1
            raise OSError(self.error, os.strerror(self.error), str(old))
        return self._rename(old, new)


@pytest.fixture
def scanner(monkeypatch: pytest.MonkeyPatch) -> Scanner:
    return Scanner(monkeypatch)


def stops(stage: Stage) -> list[str]:
    return [message.queue.stopped for message in stage.all_told if isinstance(message, Queue)]


def test_a_moment_is_waited_for_and_nobody_hears_of_it(stage: Stage, scanner: Scanner) -> None:
    stage.say(stage.make(A))
    assert not stage.ends()
    assert stage.orders() == [A, B], "the worker goes on meanwhile"
    assert stage.scheduler.state.running == 2
    stage.later(PATIENCE_SECONDS / 2)
    scanner.error = 0
    stage.later(2 * PLACE_SECONDS)
    assert stage.ended() == [(Done, A)]
    assert stage.results.frame(A, 0) == b"png"
    assert not stops(stage)
    assert not [message for message in stage.heard if isinstance(message, Notice)]
    assert stage.scheduler.state.running == 1


def test_it_is_not_tried_at_every_round(stage: Stage, scanner: Scanner) -> None:
    stage.say(stage.make(A))
    for _ in range(50):
        stage.later(PLACE_SECONDS / 10)
    assert scanner.refused <= 7


@pytest.mark.parametrize(
    ("error", "sentence"), [(errno.EACCES, "cannot be written: Permission denied"), (errno.ENOSPC, "disk is full")]
)
def test_after_a_while_the_queue_stops_and_says_why_until_the_clip_has_its_place(
    stage: Stage, scanner: Scanner, error: int, sentence: str
) -> None:
    scanner.error = error
    stage.say(stage.make(A))
    stage.later(PATIENCE_SECONDS)
    (stopped,) = stops(stage)
    assert sentence in stopped
    stage.later(PATIENCE_SECONDS)
    assert len(stops(stage)) == 1, "once"
    assert not stage.ends()
    scanner.error = 0
    stage.later(2 * PLACE_SECONDS)
    assert stage.ended() == [(Done, A)]
    assert stops(stage) == [stopped, ""]
    stage.say(stage.make(B))
    assert stage.ended() == [(Done, A), (Done, B)]
    assert stage.orders() == [A, B], "neither was made anew"


def test_a_cancel_ends_the_waiting(stage: Stage, scanner: Scanner) -> None:
    stage.say(stage.make(A))
    stage.cancel(A)
    assert stage.ended() == [(Cancelled, A)]
    stage.later(PATIENCE_SECONDS)
    assert not stops(stage)


def test_a_clip_that_was_to_be_cancelled_waits_for_nothing(stage: Stage, scanner: Scanner) -> None:
    stage.cancel(A)
    stage.say(stage.make(A))
    assert stage.ended() == [(Cancelled, A)]


def test_a_clip_whose_files_have_gone_is_made_anew(stage: Stage, scanner: Scanner) -> None:
    stage.say(stage.make(A))
    scanner.error = errno.ENOENT
    stage.later(2 * PLACE_SECONDS)
    assert [message.job for message in stage.heard if isinstance(message, Notice) and message.again] == [A]
    assert not stage.ends()
    (stopped,) = stops(stage)
    assert "cannot be written" in stopped, "whatever took them may take more"


def test_the_end_of_the_backend_tries_once_more(stage: Stage, scanner: Scanner) -> None:
    stage.say(stage.make(A))
    scanner.error = 0
    stage.now += 2 * PLACE_SECONDS
    stage.scheduler.close()
    assert stage.ended() == [(Done, A)]
