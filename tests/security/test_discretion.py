"""What another key is told of the backend: nothing of where its files lie, which processes run, and whose jobs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from backend.server.discretion import Discretion
from backend.server.jobs import Job, Owner
from backend.server.peers import Peer, Peers
from backend.server.store import JobStore
from backend.styles.catalogue import Catalogue, read_catalogue
from shared_protocol import messages
from shared_protocol.machine import places
from shared_protocol.messages import (
    Alive,
    AskJobs,
    AskStatus,
    Denied,
    Done,
    Failed,
    Fetch,
    Jobs,
    Progress,
    Queue,
    Refused,
    Status,
    Watch,
)
from tests.backend.harness import Conversation, greet, running
from tests.backend.orders import order
from tests.security.guests import guest, list_key

pytestmark = pytest.mark.timeout(180)

TEXT = (Path(messages.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")
EVENTS = tuple(kind for kind in get_args(messages.Event) if kind is not Refused)
"""Of `Refused` the sentences are few, and none names a file."""
MINE, THEIRS = "a" * 32, "b" * 32
ME, GUEST = Owner("local", "1" * 32), Owner("guest's key", "2" * 32)


def filled(kind: msgspec.inspect.Type) -> Any:
    """A value with a path in every text that has room for one."""
    match kind:
        case msgspec.inspect.StrType(max_length=messages.PATH_LENGTH):
            return "/home/maria/results"
        case msgspec.inspect.StrType(max_length=messages.SENTENCE_LENGTH):
            return "See /home/maria/models/sd.bin there."
        case msgspec.inspect.StrType(pattern=str(pattern)):
            return MINE if "32" in pattern else "c" * 64
        case msgspec.inspect.StrType():
            return MINE
        case msgspec.inspect.IntType():
            return max(7, kind.ge or 0)
        case msgspec.inspect.FloatType():
            return 1.0
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.LiteralType():
            return kind.values[0]
        case msgspec.inspect.VarTupleType():
            return (filled(kind.item_type),)
        case msgspec.inspect.UnionType():
            return filled(next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)))
        case msgspec.inspect.StructType(cls=cls):
            return cls(**{field.name: filled(field.type) for field in kind.fields})
    raise NotImplementedError(kind)


def differences(one: Any, other: Any, name: str = "") -> Iterator[str]:
    """Names of the fields in which two messages differ, each with that of its struct."""
    if isinstance(one, msgspec.Struct):
        for field in one.__struct_fields__:
            yield from differences(getattr(one, field), getattr(other, field), f"{type(one).__name__}.{field}")
    elif isinstance(one, tuple) and len(one) == len(other):
        for each, its in zip(one, other, strict=True):
            yield from differences(each, its, name)
    elif one != other:
        yield name


def test_the_rights_are_those_of_the_table() -> None:
    """All that is kept from other keys stands there, and all that stands there is kept."""
    store, peers = JobStore(None), Peers()
    store.add(Job(MINE, ME, order()))
    guest = Peer(b"guest", "guest", GUEST)
    peers.add(guest)
    discretion = Discretion(lambda: Catalogue({}, ()), store, peers)
    found: set[str] = set()
    for kind in EVENTS:
        message = filled(msgspec.inspect.type_info(kind))
        assert discretion.due(Peer(b"me", "me", ME), message) == message, "the user of the machine may know all"
        due = discretion.due(guest, message)
        assert "maria" not in "".join(_texts_kept(due))
        found |= set(differences(message, due))
    section = TEXT.partition("What the backend tells of itself:")[2].partition("\n\n")[2].partition("\n\n")[0]
    first_cells = [line.split("|")[1] for line in section.splitlines()[2:]]
    assert found == {name for cell in first_cells for name in re.findall(r"`(\w+\.\w+)`", cell)}


def _texts_kept(value: Any) -> Iterator[str]:
    """All texts but those that files of styles and the client's own wishes say."""
    if isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            if field not in ("description", "example_prompt", "prompt"):
                yield from _texts_kept(getattr(value, field))
    elif isinstance(value, tuple):
        for each in value:
            yield from _texts_kept(each)
    elif isinstance(value, str):
        yield value


def test_a_worker_is_told_of_with_its_job_if_that_is_ones_own() -> None:
    store, peers = JobStore(None), Peers()
    for job, owner in ((MINE, ME), (THEIRS, GUEST)):
        store.add(Job(job, owner, order()))
    workers = tuple(messages.WorkerView(device="cpu", state="working", pid=7, job=job) for job in (MINE, THEIRS))
    due = Discretion(lambda: Catalogue({}, ()), store, peers).due(
        Peer(b"g", "g", GUEST), Status(loads=0, clients=9, workers=workers)
    )
    assert isinstance(due, Status)
    assert [(worker.job, worker.pid, worker.state) for worker in due.workers] == [
        ("", 0, "working"),
        (THEIRS, 0, "working"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("The model {models}/my sd/sd.safetensors is missing.", "The model …/sd.safetensors is missing."),
        ("The log says more: {state}/backend.log.", "The log says more: …/backend.log."),
        ("The folder {data}/results/x cannot be written.", "The folder …/results/x cannot be written."),
        ("See C:\\Users\\maria\\x.bin, or (/srv/x/y).", "See …/x.bin, or (…/y)."),
        ('Choose 1/2 of a/b, "tcp://gpu:1", or .venv/bin/python -m x.', None),
        ("Choose width and height between 32 and 128 pixels, in steps of 16.", None),
    ],
)
def test_of_a_path_its_end_is_told(home: Path, tmp_path: Path, text: str, told: str | None) -> None:
    (home / "config" / "styles").mkdir(parents=True)
    (home / "config" / "bases").mkdir()
    (home / "config" / "styles" / "mine.toml").write_text(
        'title = "T"\nbase = "mine"\npreset = "p"\nexample_prompt = "a cat"\n', encoding="utf-8"
    )
    (home / "config" / "bases" / "mine.toml").write_text(
        f'title = "B"\nt2i = "{tmp_path}/my sd/sd.safetensors"\nt2v = "{tmp_path}/v"\n[presets.p]\n', encoding="utf-8"
    )
    text = text.format(models=tmp_path, state=places.state_folder(), data=places.data_folder())
    catalogue = read_catalogue()
    discretion = Discretion(lambda: catalogue, JobStore(None), Peers())
    failed = Failed(job=MINE, code="internal", message=text, next_step="Try again.")
    due = discretion.due(Peer(b"g", "g", GUEST), failed)
    assert due == msgspec.structs.replace(failed, message=told or text)


def heard(conversation: Conversation) -> str:
    """All that was heard, but the styles' own words."""
    said = [message for message, _ in conversation.heard if not isinstance(message, Alive)]
    return msgspec.json.encode(said).decode()


@pytest.mark.skipif(os.name != "posix", reason="a folder in use cannot be moved elsewhere")
def test_two_keys_at_one_backend(home: Path) -> None:
    """Over real sockets: the guest's own jobs fail, are made and are listed, the queue stops, and no path is told."""
    (home / "config" / "styles").mkdir(parents=True)
    (home / "config" / "styles" / "broken.toml").write_text("title = ", encoding="utf-8")
    pair = list_key()
    with running(step_seconds=0.05) as backend, backend.client() as owner, guest(backend.connection, pair) as other:
        assert "broken.toml" in greet(owner).notes[0]
        assert greet(other).notes == ()
        mine = owner.submit()
        owner.expect(Progress, lambda message: message.job == mine and message.phase == "painting")
        told = other.status()
        (worker,) = told.workers
        assert (worker.state, worker.pid, worker.job) == ("working", 0, "")
        assert (told.clients, told.notes, told.data_folder) == (1, (), "")
        told = owner.status()
        (worker,) = told.workers
        assert (worker.pid, worker.job) == (backend.family[0].pid, mine)
        assert (told.clients, told.data_folder) == (2, str(places.data_folder()))
        theirs = other.submit()
        done = other.end_of(theirs)
        assert isinstance(done, Done)
        assert done.folder == ""
        crashed = other.end_of(other.submit("fail:crash"))
        assert isinstance(crashed, Failed)
        assert "the log says more: …/worker_output" in crashed.next_step
        other.client.send(AskJobs(ended=9))
        listed = other.expect(Jobs)
        assert {view.folder for view in listed.jobs} == {""}
        other.client.send(Watch(job=theirs))
        assert other.expect(Jobs).jobs[0].has_result
        results = places.data_folder() / "results"
        shutil.move(results, home / "elsewhere")
        results.write_bytes(b"")
        waiting = other.submit()
        stopped = other.expect(Queue, lambda message: bool(message.queue.stopped)).queue.stopped
        assert f"The folder of results …/results/{waiting} cannot be written" in stopped
        other.client.send(Fetch(job=theirs))
        assert "…/" in other.expect(Denied).message
        other.client.send(AskStatus())
        assert other.expect(Status).queue.stopped == stopped
        results.unlink()
        shutil.move(home / "elsewhere", results)
        for secret in (str(home), str(home.parent), mine, "broken.toml"):
            assert secret not in heard(other)
        assert str(home) in heard(owner), "it would be seen"
