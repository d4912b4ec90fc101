"""Requests that the protocol allows, whatever their values: each is answered, and none is the backend's last."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.failures import StorageFailure
from backend.serve_options import ServeOptions
from backend.server import desk
from backend.server.jobs import Owner
from backend.server.peers import Peer, Peers
from backend.server.store import JobStore
from backend.server.store_errors import StoreRefuses
from backend.styles.catalogue import Library
from elevator import Plan
from shared_protocol.client import new_job_id
from shared_protocol.messages import (
    AskJobs,
    Failed,
    Generate,
    Hello,
    Jobs,
    Message,
    Pause,
    Queue,
    Request,
    Resume,
    Shutdown,
)
from shared_protocol.wire import Incoming
from tests.backend.harness import Running, greet
from tests.protocol.strategies import REQUESTS, of_any, values, with_buffers

ANY = of_any(tuple(kind for kind in REQUESTS if kind not in (Hello, Shutdown)))
ASKED = msgspec.inspect.type_info(Generate)
assert isinstance(ASKED, msgspec.inspect.StructType)
SETTING: Any = next(field.type for field in ASKED.fields if field.name == "settings")
PLANS = st.dictionaries(st.sampled_from([field.name for field in fields(Plan)]), values(SETTING.value_type), max_size=3)
LONG = "\x01" * 2000
"""A prompt that takes six times its length on the line."""


def clip(**more: Any) -> Generate:
    small: dict[str, Any] = {"prompt": "a pumpkin", "style": "plain", "frames": 1, "width": 64, "height": 64, "seed": 1}
    return Generate(**{"job": new_job_id(), **small, **more})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(ANY | PLANS.map(lambda plan: clip(settings=plan)), min_size=1, max_size=12))
def test_any_request_leaves_the_backend_alive(shared: Running, requests: list[Request]) -> None:
    with shared.client() as client:
        greet(client)
        for request in requests:
            client.client.send(request, with_buffers(request))
        client.client.send(Resume())
        client.status()


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"steps": 2**31 - 1}, "too many; choose 1000"), ({"guidance": 10**30}, "settings"), ({"chunk": "x"}, "chunk")],
)
def test_settings_that_nothing_could_count_are_refused(shared: Running, changes: dict[str, object], says: str) -> None:
    with shared.client() as client:
        greet(client)
        request = clip(settings=changes)
        client.client.send(request)
        failed = client.end_of(request.job)
        assert isinstance(failed, Failed)
        assert failed.code == "bad_request"
        assert says in failed.message


def test_many_long_prompts_are_listed_in_as_many_messages_as_they_take(backend: Running) -> None:
    with backend.client(client_id="9" * 32) as client:
        client.client.send(Pause())
        client.expect(Queue)
        jobs = [client.submit(LONG) for _ in range(900)]
        client.client.send(AskJobs())
        first = client.expect(Jobs)
        assert first.left_out == 900 - len(first.jobs) > 0
        assert [view.position for view in first.jobs] == list(range(len(first.jobs)))
        assert LONG.startswith(first.jobs[0].prompt.rstrip("…"))
        views = list(first.jobs)
        while len(views) < 900:
            client.client.send(AskJobs(count=500, after=first.next))
            first = client.expect(Jobs)
            assert first.left_out == 900 - len(views) - len(first.jobs)
            views += first.jobs
        assert first.next == ""
        assert [view.job for view in views] == jobs
        assert [view.position for view in views] == list(range(900))
    with backend.client(client_id="9" * 32) as client:
        listed: list[str] = []
        while len(listed) < 900:
            listed += [view.job for view in client.expect(Jobs).jobs]
        assert listed == jobs


def test_places_are_those_that_move_counts(backend: Running) -> None:
    with backend.client() as client:
        client.client.send(Pause())
        client.expect(Queue)
        jobs = [client.submit() for _ in range(4)]
        views = client.jobs().jobs
        assert [(view.job, view.position) for view in views] == [(job, place) for place, job in enumerate(jobs)]


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), StoreRefuses("disk is full", StorageFailure("disk_full"))]
)
def test_whoever_asks_for_a_job_is_told_its_end_whatever_went_wrong(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that has submitted waits for an end, not for a denial."""

    def fails(*_: object, **__: Any) -> None:
        raise error

    monkeypatch.setattr(desk, "resolve", fails)
    told: list[Message] = []
    kept = SimpleNamespace(store=JobStore(None), results=None, uploads=SimpleNamespace(path=None), notes=())

    counter = desk.Desk(
        ServeOptions(),
        Library(tmp_path, tmp_path),
        kept,  # type: ignore[arg-type]
        SimpleNamespace(device=None),  # type: ignore[arg-type]
        Peers(),
        "session",
        lambda identity, message, buffers: told.append(message),
        lambda identity, messages: None,
        lambda: None,
    )
    request = clip()
    counter.answer(Peer(b"me", "test", Owner("local", "1" * 32)), Incoming(request, ()))
    (end,) = told
    assert isinstance(end, Failed)
    assert end.job == request.job
