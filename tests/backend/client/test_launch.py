"""A backend that is started in the background and waited for: what is said when none gets ready."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from backend.client.launch import start_backend
from backend.failures import BackendError
from shared_protocol.machine import places
from shared_protocol.starting import Starter


def problem(device: str = "auto") -> str:
    with pytest.raises(BackendError) as caught:
        start_backend(fake=True, device=device, grace=0.0)
    assert (caught.value.code, caught.value.exit_code) == ("not_started", 3)
    assert str(places.log_file()) in caught.value.next_step
    return caught.value.sentence


def test_one_that_ends_at_once_is_said_with_its_last_words(home: Path) -> None:
    sentence = problem(device="abacus")
    assert sentence.startswith("The backend did not start: ")
    assert '"abacus" is no device' in sentence


def test_one_that_is_late_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared_protocol.starting.START_SECONDS", 0.0)
    assert problem().startswith("The backend did not start: it was not ready within 60 seconds.")


@pytest.mark.skipif(os.name != "posix", reason="Windows has other words")
def test_a_home_that_cannot_be_made_is_said(home: Path) -> None:
    home.write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(BackendError) as caught:
        start_backend(fake=True, device="auto", grace=0.0)
    assert (caught.value.code, caught.value.exit_code) == ("home_unwritable", 5)
    assert "Not a directory" in caught.value.sentence
    assert "ELEVATOR_HOME" in caught.value.next_step


def test_what_the_system_refuses_while_one_is_started_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = OSError()

    def poll(starter: Starter[object], now: float) -> None:
        raise fault

    monkeypatch.setattr(Starter, "poll", poll)
    fault = OSError(errno.ENOEXEC, "Exec format error", "/usr/bin/python")
    assert problem() == "The backend did not start: /usr/bin/python: Exec format error."
    fault = OSError(errno.EAGAIN, "Try again")
    assert problem() == "The backend did not start: Try again."
    for number, code in ((errno.EACCES, "home_unwritable"), (errno.ENOSPC, "disk_full")):
        fault = OSError(number, os.strerror(number), str(places.state_folder() / "backend_start.log"))
        with pytest.raises(BackendError) as caught:
            start_backend(fake=True, device="auto", grace=0.0)
        assert (caught.value.code, caught.value.exit_code) == (code, 5)
