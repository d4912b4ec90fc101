"""What scripts are told of clips: each change once."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from blender_addon.clip.job import Job
from blender_addon.machine import announcing
from blender_addon.machine.announcing import Announcer
from shared_protocol.messages import Failed, Progress
from tests.addon.sessions import A, B, folder, request, running


@pytest.fixture(autouse=True)
def listeners() -> Iterator[None]:
    """None but those of the test."""
    known = list(announcing.listeners)
    announcing.listeners.clear()
    yield
    announcing.listeners[:] = known


def test_each_change_is_told_once_to_every_listener() -> None:
    session, job = running()
    told: list[tuple[str, str, str]] = []

    def listen(name: str) -> None:
        def hear(job: Job) -> None:
            told.append((name, job.id, job.state.name))

        announcing.listeners.append(hear)

    listen("one")
    listen("two")
    announcer = Announcer(session)

    def news() -> list[tuple[str, str, str]]:
        told.clear()
        announcer.tell()
        return list(told)

    assert news() == [("one", A, "RUNNING"), ("two", A, "RUNNING")]
    assert news() == []
    session.receive(Progress(job=A, phase="painting", step=1, steps=9))
    assert news() == [("one", A, "RUNNING"), ("two", A, "RUNNING")], "its status is another"
    session.receive(Progress(job=A, phase="painting", step=1, steps=9))
    assert news() == []
    session.submit(request(B), folder(B))
    assert news() == [("one", B, "SENT"), ("two", B, "SENT")]
    session.receive(Failed(job=A, code="internal", message="It failed.", next_step="Try again."))
    assert news() == [("one", A, "FAILED"), ("two", A, "FAILED")]
    job.problem = None  # whatever is said of it then
    assert news() == [], "it has ended once"


def test_a_listener_can_know_that_it_is_one() -> None:
    session, _ = running()
    announcer = Announcer(session)
    seen: list[bool] = []
    announcing.listeners.append(lambda job: seen.append(announcer.telling))
    assert not announcer.telling
    announcer.tell()
    assert (seen, announcer.telling) == ([True], False)


def test_a_listener_that_raises_is_over_all_the_same() -> None:
    def broken(job: Job) -> None:
        raise KeyboardInterrupt

    session, _ = running()
    announcer = Announcer(session)
    announcing.listeners.append(broken)
    with pytest.raises(KeyboardInterrupt):
        announcer.tell()
    assert not announcer.telling


def test_a_scripts_mistake_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []
    announcing.call(heard.append, "a clip")
    assert heard == ["a clip"]
    with caplog.at_level(logging.ERROR):
        announcing.call(lambda clip: clip.missing, "a clip")
    assert "A handler of a script failed" in caplog.text
