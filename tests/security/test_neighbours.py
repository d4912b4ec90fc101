"""Two keys at one backend: neither sees, hears or touches what is the other's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import zmq

from backend.server.keys import KeyPair
from shared_protocol import wire
from shared_protocol.client import new_job_id
from shared_protocol.machine import places
from shared_protocol.messages import (
    Alive,
    AskJobs,
    AskStatus,
    Cancel,
    Conform,
    Denied,
    Done,
    Failed,
    Fetch,
    Forget,
    Frame,
    Hello,
    Jobs,
    LoraChoice,
    Move,
    Progress,
    Queue,
    Received,
    Refused,
    Request,
    Shutdown,
    Status,
    Watch,
    Welcome,
)
from tests.backend.harness import Conversation, Running, greet, running
from tests.security.guests import guest, list_key, open_line, with_key

pytestmark = pytest.mark.timeout(180)

SECRET = "my unborn film of Ottilie"


def denied(client: Conversation, request: Request) -> Denied:
    client.client.send(request)
    return client.expect(Denied, lambda message: message.request == type(request).__name__)


TOUCHES: list[Callable[[str], Request]] = [
    lambda job: Cancel(job=job),
    lambda job: Move(job=job, position=0),
    lambda job: Watch(job=job, previews=True),
    lambda job: Fetch(job=job),
    lambda job: Received(job=job),
    lambda job: Forget(job=job),
]


def test_a_guest_sees_nothing_of_the_owners_jobs() -> None:
    pair = list_key()
    with running(step_seconds=0.05) as backend, backend.client() as owner, guest(backend.connection, pair) as other:
        mine = greet(owner).client_id
        assert greet(other).client_id != mine
        runs, waits = owner.submit(SECRET, previews=True), owner.submit(SECRET)
        owner.expect(Progress, lambda message: message.job == runs)
        other.client.send(AskJobs(ended=100))
        jobs = other.expect(Jobs)
        assert jobs.jobs == ()
        assert jobs.others == 2
        never = new_job_id()
        for touch in TOUCHES:
            answers = [denied(other, touch(job)) for job in (runs, waits, never)]
            assert {answer.code for answer in answers} == {"unknown_job"}
            assert len({(answer.message, answer.next_step) for answer in answers}) == 1, "it tells nothing by its words"
        for job in (runs, waits):
            assert isinstance(owner.end_of(job), Done)
        for touch in TOUCHES:
            assert denied(other, touch(runs)).code == "unknown_job"
        other.client.send(Conform(job=never, source=runs, fps_numerator=12))
        assert other.end_of(never).code == "source_missing"  # type: ignore[attr-defined]
        other.client.send(AskStatus())
        other.expect(Status)
        theirs = [message for message, _ in other.heard if not isinstance(message, Alive)]
        assert {type(message) for message in theirs} <= {Welcome, Jobs, Denied, Failed, Queue, Status}
        assert not any("Ottilie" in msgspec.json.encode(message).decode() for message in theirs)
        assert len([1 for message, _ in owner.of(runs) if isinstance(message, Frame)]) == 4
        owner.client.send(Fetch(job=runs))
        owner.expect(Frame)


def test_the_owner_sees_nothing_of_a_guests_jobs() -> None:
    """Also who owns the machine cannot cancel by mistake: a job belongs to its key."""
    pair = list_key()
    with running(step_seconds=0.05) as backend, backend.client() as owner, guest(backend.connection, pair) as other:
        greet(owner)
        job = other.submit(SECRET)
        other.expect(Progress, lambda message: message.job == job)
        assert denied(owner, Cancel(job=job)).code == "unknown_job"
        owner.client.send(AskJobs())
        assert owner.expect(Jobs).others == 1
        assert isinstance(other.end_of(job), Done)
        assert not any(
            getattr(message, "job", None) == job and not isinstance(message, Denied) for message, _ in owner.heard
        )


def test_a_guest_does_not_come_in_under_the_owners_client_id() -> None:
    pair = list_key()
    with running() as backend:
        with backend.client(client_id="c" * 32) as owner:
            greet(owner)
            job = owner.submit(SECRET)
            owner.end_of(job)
        with guest(backend.connection, pair, client_id="c" * 32) as other:
            assert other.expect(Refused).code == "not_authorized"
            assert not [message for message, _ in other.heard if getattr(message, "job", None) == job]
        with backend.client(client_id="c" * 32) as owner:
            assert isinstance(owner.end_of(job), Done), "it is delivered to its owner"


def test_a_name_that_is_in_use_is_not_given_away() -> None:
    """A guest that uses the owner's job id learns no more than that it is taken."""
    pair = list_key()
    with running() as backend, backend.client() as owner, guest(backend.connection, pair) as other:
        job = owner.submit(SECRET)
        owner.end_of(job)
        other.submit("mine", job=job)
        failed = other.end_of(job)
        assert isinstance(failed, Failed)
        assert failed.code == "duplicate_job"
        owner.client.send(Fetch(job=job))
        owner.expect(Frame)


def test_a_guest_does_not_end_the_backend() -> None:
    pair = list_key()
    with running() as backend, backend.client() as owner, guest(backend.connection, pair) as other:
        greet(owner)
        assert denied(other, Shutdown()).code == "not_allowed"
        assert isinstance(owner.end_of(owner.submit()), Done)


def test_a_guest_with_the_owners_identity_is_not_heard_and_hears_nothing() -> None:
    """Whether it says Hello, or speaks at once as if it were the owner."""
    pair = list_key()
    with running(step_seconds=0.05) as backend, backend.client(identity="same") as owner, zmq.Context() as context:
        greet(owner)
        job = owner.submit(SECRET, frames=8)
        owner.expect(Progress, lambda message: message.job == job)
        for request in (Hello(client="guest"), Cancel(job=job), Shutdown()):
            with closing(open_line(context, with_key(backend.connection, pair), b"same")) as line:
                line.send_multipart(wire.encode(request))
                assert not line.poll(500)
        assert isinstance(owner.end_of(job), Done)
        assert backend.process.poll() is None


def test_a_guest_that_fetches_nothing_fills_its_own_share_and_no_more() -> None:
    pair = list_key()
    with running("--guest-gb", "0.000001") as backend, backend.client() as owner:
        greet(owner)
        with guest(backend.connection, pair, client_id="7" * 32) as other:
            greet(other)
            job = other.submit()
            assert isinstance(other.end_of(job), Done)
            failed = other.end_of(other.submit())
            assert isinstance(failed, Failed)
            assert failed.code == "results_full"
            assert isinstance(owner.end_of(owner.submit()), Done)
            assert isinstance(owner.end_of(owner.submit()), Done), "the owner has no such share"
            other.client.send(Received(job=job))
            assert isinstance(other.end_of(other.submit()), Done)


# Names that lead elsewhere --------------------------------------------------------------------------------------

NAMES = ["../../etc/passwd", "/etc/passwd", "..", "a/../../b", "C:\\x", "\\\\host\\share", "nul", "COM1.safetensors"]


def test_hostile_names_open_nothing(home: Path) -> None:
    """Links and `..` lead to a pipe here: whoever opened it to read would wait for ever."""
    folder = home / "config" / "loras"
    folder.mkdir(parents=True)
    os.mkfifo(home / "config" / "secret.safetensors")
    (folder / "link.safetensors").symlink_to(home / "config" / "secret.safetensors")
    (folder / "folder").symlink_to(home / "config")
    names = [*NAMES, "link.safetensors", "folder/secret.safetensors", "../secret.safetensors", "x\0y", "a" * 200]
    with running() as backend, backend.client() as client:
        greet(client)
        for name in names:
            failed = client.end_of(client.submit(loras=(LoraChoice(name=name),)))
            assert isinstance(failed, Failed), name
            assert failed.code == "lora_missing", name
            assert "secret" not in failed.message.replace(name, "")
        for field in ("style", "preset"):
            for name in ("../plain", "/etc/passwd", "plain.toml", "nul"):
                assert isinstance(client.end_of(client.submit(**{field: name})), Failed)
        sha = hashlib.sha256(b"never sent").hexdigest()
        assert client.end_of(client.submit(footage=(sha,) * 4)).code == "footage_missing"  # type: ignore[attr-defined]
        assert isinstance(client.end_of(client.submit()), Done)


@pytest.mark.parametrize("job", ["../../../../etc/passwd", "..", "con", "a" * 33, "/" * 32, "A" * 32, "0" * 31 + "\n"])
def test_hostile_job_ids_are_no_ids(shared: Running, job: str) -> None:
    for kind in ("Generate", "Cancel", "Fetch", "Forget", "Watch"):
        with shared.client() as rude, shared.client() as honest:
            greet(rude)
            header = {"type": kind, "job": job, "prompt": "x", "style": "plain", "frames": 1, "width": 64, "height": 64}
            rude.client._socket.send_multipart([b"elevator/1", msgspec.json.encode({**header, "seed": 1})])
            assert rude.expect(Refused).code == "malformed"
            assert greet(honest)


# What the log says ----------------------------------------------------------------------------------------------


def logs() -> str:
    return "\n".join(
        path.read_text(encoding="utf-8", errors="replace") for path in places.state_folder().glob("*.log*")
    )


@pytest.mark.parametrize("asked", [False, True])
def test_prompts_stand_in_the_log_only_if_asked(asked: bool) -> None:
    pair = list_key()
    with (
        running(*(["--log-prompts"] if asked else [])) as backend,
        backend.client() as owner,
        guest(backend.connection, pair) as other,
    ):
        assert isinstance(owner.end_of(owner.submit(SECRET)), Done)
        assert isinstance(other.end_of(other.submit(f"{SECRET} fail:out_of_memory")), Failed)
        assert isinstance(owner.end_of(owner.submit(f"{SECRET} unknown:Waldemar", negative_prompt="Hush")), Done)
        owner.end_of(owner.submit(SECRET, width=63))
        stranger = KeyPair.fresh()
        with guest(backend.connection, stranger) as refused:
            next(refused.arrivals())
    text = logs()
    assert ("Ottilie" in text) == asked
    assert ("Waldemar" in text) == asked
    assert "Hush" not in text
    local = backend.connection
    for key in (local.server_key, local.client_public, local.client_secret):
        assert key not in text
    for each in (pair, stranger):
        assert each.public not in text
        assert each.secret not in text
