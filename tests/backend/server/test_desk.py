"""What the desk asks of the queue and answers to clients, without sockets and workers."""

from __future__ import annotations

import errno
import hashlib
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from msgspec import structs

from backend.serve_options import ServeOptions
from backend.server import desk as desk_module
from backend.server import file_desk
from backend.server.desk import Desk
from backend.server.estimates import Estimates
from backend.server.jobs import Job, Owner, State
from backend.server.open_stores import Kept
from backend.server.peers import Peer, Peers
from backend.server.results import RESULT_FILE, ResultStore
from backend.server.scheduler import Scheduler
from backend.server.server import Server
from backend.server.store import JobStore
from backend.server.store_errors import refusal
from backend.server.tally import Tally
from backend.server.uploads import Uploads
from backend.styles.catalogue import Library, read_catalogue
from backend.styles.files import STYLES
from elevator.pictures.clip_folder import frame_name
from shared_protocol.machine import places
from shared_protocol.messages import (
    MAJOR,
    AskJobs,
    AskStatus,
    AskThumbnail,
    Cancel,
    Chunk,
    Conform,
    Denied,
    Failed,
    Fetch,
    Fetched,
    Forget,
    Frame,
    Free,
    Generate,
    Have,
    Hello,
    Jobs,
    Message,
    Move,
    Offer,
    Pause,
    QueueState,
    Received,
    Resume,
    Shutdown,
    Status,
    Thumbnail,
    Watch,
    Welcome,
)
from shared_protocol.wire import Buffer, Incoming
from tests.backend.orders import done, order

A, B, C = (letter * 32 for letter in "abc")
ME = Owner("local", "1" * 32)
FRAMES = 3


class Queueing:
    """Stands where the scheduler does, and writes down what it is asked about previews and places."""

    state = QueueState()
    device = "none"
    loads, memory, workers = 3, 0, ()

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.previews: list[tuple[str, bool]] = []
        self.moved: list[tuple[str, int]] = []
        self.submitted: list[tuple[Job, tuple[str, ...]]] = []
        self.asked: list[object] = []

    def submit(self, job: Job, warnings: tuple[str, ...]) -> None:
        self.submitted.append((job, warnings))

    def cancel(self, job: Job) -> None:
        self.asked.append(job.id)

    def pause(self, paused: bool) -> None:
        self.asked.append(paused)

    def free(self) -> None:
        self.asked.append("free")

    def preview(self, job_id: str) -> None:
        self.previews.append((job_id, self.peers.want_previews(job_id)))

    def move(self, job: Job, position: int) -> None:
        self.moved.append((job.id, position))

    def forecast(self, jobs: Iterable[Job]) -> dict[str, object]:
        return {}

    def progress(self, job_id: str) -> None:
        return None


class Office:
    """A desk with one running job and one that is done, and two clients before it."""

    def __init__(self, folder: Path) -> None:
        self.store, self.results = JobStore(None), ResultStore(folder / "results")
        self.peers = Peers()
        self.queue = Queueing(self.peers)
        self.told: list[tuple[bytes, Message, int]] = []
        kept = Kept(self.store, self.results, Uploads(folder / "uploads", 1 << 20), ())
        scheduler = cast("Scheduler", self.queue)
        self.stopped = 0
        self.desk = Desk(
            ServeOptions(), Library(), kept, scheduler, self.peers, "s", self._told, self._stream, self._stop
        )
        self.clients = [Peer(name, name.decode(), ME) for name in (b"one", b"two")]
        for client in self.clients:
            self.peers.add(client)
        self.store.add(Job(A, ME, order(), state=State.RUNNING))
        self.store.add(Job(B, ME, order(), state=State.RUNNING))
        partial = self.results.partial(B)
        for index in range(FRAMES):
            (partial / frame_name(index)).write_bytes(bytes(index + 1))
        end = done(B)
        size = self.results.publish(B, b'{"frames":%d}' % FRAMES)
        self.store.finish(
            type(end)(**{name: getattr(end, name) for name in end.__struct_fields__} | {"frames": FRAMES}), size
        )

    def _stop(self) -> None:
        self.stopped += 1

    def _stream(self, identity: bytes, messages: Iterator[tuple[Message, Sequence[Buffer]]]) -> None:
        for message, buffers in messages:
            self._told(identity, message, buffers)

    def _told(self, identity: bytes, message: Message, buffers: Sequence[Buffer]) -> None:
        self.told.append((identity, message, sum(len(buffer) for buffer in buffers)))

    def ask(self, request: Message, client: int = 0) -> list[Message]:
        """What this client is told then."""
        self.told.clear()
        self.desk.answer(self.clients[client], Incoming(request, ()))
        assert {identity for identity, _, _ in self.told} == {self.clients[client].identity}
        return [message for _, message, _ in self.told]


@pytest.fixture
def office(tmp_path: Path, home: Path) -> Office:
    return Office(tmp_path)


def test_previews_are_made_until_the_last_who_wants_them_says_otherwise(office: Office) -> None:
    office.ask(Watch(job=A, previews=True), 0)
    office.ask(Watch(job=A, previews=True), 1)
    office.ask(Watch(job=A), 0)
    office.ask(Watch(job=A), 1)
    assert office.queue.previews == [(A, True), (A, True), (A, True), (A, False)]


def test_previews_are_made_until_the_last_who_wants_them_has_left(office: Office) -> None:
    for number in (0, 1):
        office.ask(Watch(job=A, previews=True), number)
    for client in office.clients:
        office.peers.remove(client.identity)
        office.desk.client_left(client)
        assert office.queue.previews[-1] == (A, client is office.clients[0])


def test_the_server_tells_the_desk_who_has_gone(office: Office) -> None:
    """A connection without a greeting is nobody's. What a worker paints for nobody cannot be seen from outside."""
    server: Any = SimpleNamespace(_peers=office.peers, _desk=office.desk)
    client = office.clients[0]
    office.ask(Watch(job=A, previews=True))
    Server._part_from(server, b"a stranger")
    Server._part_from(server, client.identity)
    assert office.queue.previews == [(A, True), (A, False)]
    assert office.peers.at(client.identity) is None


def test_who_moves_a_job_is_told_the_queue_and_no_ended_jobs(office: Office) -> None:
    office.store.add(Job(C, ME, order()))
    (queue,) = office.ask(Move(job=C, position=0))
    assert isinstance(queue, Jobs)
    assert [one.job for one in queue.jobs] == [A, C]
    assert office.queue.moved == [(C, 0)]
    for fixed, code in ((A, "job_not_waiting"), (B, "job_not_waiting"), ("d" * 32, "unknown_job")):
        (denied,) = office.ask(Move(job=fixed, position=0))
        assert isinstance(denied, Denied)
        assert denied.code == code


def test_frames_are_fetched_from_where_they_are_asked_for(office: Office) -> None:
    def frames(*indices: int) -> list[Message]:
        return [Frame(job=B, index=index, frames=FRAMES) for index in indices]

    assert office.ask(Fetch(job=B)) == [*frames(0, 1, 2), Fetched(job=B, first=0, count=3)]
    assert [size for _, _, size in office.told] == [1, 2, 3, 0]
    assert office.ask(Fetch(job=B, first=1, count=1)) == [*frames(1), Fetched(job=B, first=1, count=1)]
    assert office.ask(Fetch(job=B, first=2, count=64)) == [*frames(2), Fetched(job=B, first=2, count=1)]


@pytest.mark.parametrize("lost", ["folder", "first", "last"])
def test_frames_that_somebody_has_deleted_are_not_said_to_have_come(office: Office, lost: str) -> None:
    folder = office.results.folder(B)
    assert (folder / RESULT_FILE).exists()
    if lost == "folder":
        shutil.rmtree(folder)
    else:
        (folder / frame_name(0 if lost == "first" else FRAMES - 1)).unlink()
    *frames, denied = office.ask(Fetch(job=B))
    assert isinstance(denied, Denied)
    assert (denied.request, denied.job, denied.code) == ("Fetch", B, "no_result")
    assert len(frames) == (FRAMES - 1 if lost == "last" else 0)


def test_a_frame_that_is_larger_than_any_that_was_made_is_not_sent(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_desk, "MAX_BUFFER_BYTES", FRAMES - 1)
    *frames, denied = office.ask(Fetch(job=B))
    assert [type(message) for message in frames] == [Frame] * (FRAMES - 1)
    assert isinstance(denied, Denied)
    assert denied.code == "no_result"


@pytest.mark.parametrize(("job", "first"), [(A, 0), (B, FRAMES), ("c" * 32, 0)])
def test_frames_that_are_not_there_are_denied(office: Office, job: str, first: int) -> None:
    (denied,) = office.ask(Fetch(job=job, first=first))
    assert isinstance(denied, Denied)
    assert denied.code == ("unknown_job" if job[0] == "c" else "no_result")


def test_a_styles_picture_is_sent_to_who_asks(office: Office) -> None:
    for style in read_catalogue().styles:
        assert office.ask(AskThumbnail(sha256=style.thumbnail)) == [Thumbnail(sha256=style.thumbnail)]
        ((_, _, size),) = office.told
        assert size == (STYLES / f"{style.name}.png").stat().st_size
    (denied,) = office.ask(AskThumbnail(sha256="0" * 64))
    assert isinstance(denied, Denied)
    assert (denied.request, denied.job, denied.code) == ("AskThumbnail", "0" * 64, "unknown_thumbnail")


def test_running_jobs_are_told_before_waiting_ones(office: Office) -> None:
    office.store.add(Job(C, ME, order()))
    office.store.put_at(C, 0)
    (told,) = office.ask(AskJobs(ended=1))
    assert isinstance(told, Jobs)
    assert [(view.job, view.state) for view in told.jobs] == [(A, "running"), (C, "queued"), (B, "done")]
    assert (told.others, told.left_out) == (0, 0)


def test_jobs_of_other_keys_are_counted_alone(office: Office) -> None:
    office.store.add(Job(C, Owner("studio", "2" * 32), order()))
    (told,) = office.ask(AskJobs())
    assert isinstance(told, Jobs)
    assert [view.job for view in told.jobs] == [A]
    assert told.others == 1


def test_a_client_id_stays_with_its_key(office: Office) -> None:
    mine = Hello(major=MAJOR, client="one", client_id="3" * 32)
    assert office.desk.welcome(b"one", "local", mine) is None
    office.store.add(Job(C, Owner("local", mine.client_id), order()))
    refused = office.desk.welcome(b"three", "studio", mine)
    assert refused is not None
    assert (refused.code, refused.message.split(":")[0]) == ("not_authorized", "This client id belongs to another key")
    office.told.clear()
    assert office.desk.welcome(b"three", "studio", Hello(major=MAJOR, client="three")) is None
    welcome = office.told[0][1]
    assert isinstance(welcome, Welcome)
    assert (welcome.device, len(welcome.client_id)) == ("none", 32), "the device that works, and an id of its own"


CLIP = Generate(job=C, prompt="a zyzzyva", style="plain", frames=1, width=64, height=64, seed=5, previews=True)


def test_a_clip_is_submitted_with_all_that_is_known_of_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Estimates, "foresee", lambda self, order: (f"{order.frames} frames are many.",))
    office.desk.answer(office.clients[0], Incoming(CLIP, ()))
    ((job, warnings),) = office.queue.submitted
    assert (job.id, job.owner, job.prompt, job.order.seed) == (C, ME, CLIP.prompt, CLIP.seed)
    assert 0 <= time.time() - job.submitted < 60
    unknown, many = warnings
    assert "zyzzyva" in unknown
    assert many == "1 frames are many."
    assert office.queue.previews == [(C, True)]
    office.desk.answer(office.clients[1], Incoming(structs.replace(CLIP, job="d" * 32, previews=False), ()))
    assert len(office.queue.submitted) == 2
    assert office.queue.previews == [(C, True)]


def test_a_finished_clip_is_conformed_for_its_key_while_it_is_there(office: Office) -> None:
    asked = Conform(job=C, source=B, fps_numerator=16)
    office.desk.answer(office.clients[0], Incoming(asked, ()))
    ((job, warnings),) = office.queue.submitted
    assert (job.id, job.owner, job.order.result_frames, warnings) == (C, ME, 2 * FRAMES, ())
    stranger = Peer(b"guest", "guest", Owner("studio", "1" * 32))
    office.clients.append(stranger)
    for client, source in ((2, B), (0, A), (0, "d" * 32)):
        (failed,) = office.ask(structs.replace(asked, source=source), client)
        assert isinstance(failed, Failed)
        assert (failed.job, failed.code) == (C, "source_missing")
    office.ask(Forget(job=B))
    (failed,) = office.ask(asked)
    assert isinstance(failed, Failed)
    assert failed.code == "source_missing"


def test_a_clip_is_forgotten_once_it_has_ended(office: Office) -> None:
    (denied,) = office.ask(Forget(job=A))
    assert isinstance(denied, Denied)
    assert (denied.job, denied.code) == (A, "job_not_ended")
    (told,) = office.ask(Forget(job=B))
    assert isinstance(told, Jobs)
    assert [view.job for view in told.jobs] == [A]
    assert not office.results.folder(B).exists()
    assert office.store.result_names() == frozenset()


def test_what_is_received_is_so_once_it_has_ended(office: Office) -> None:
    for job in (A, B):
        office.desk.answer(office.clients[0], Incoming(Received(job=job), ()))
    assert [office.store.get(job).received for job in (A, B)] == [False, True]  # type: ignore[union-attr]
    assert office.told == []


def test_a_picture_is_taken_in_parts(office: Office) -> None:
    data = (STYLES / "plain.png").read_bytes()
    sha256, half = hashlib.sha256(data).hexdigest(), len(data) // 2
    assert office.ask(Offer(sha256=sha256, size=len(data))) == [Have(sha256=sha256, offset=0)]
    for offset, part in ((0, data[:half]), (half, data[half:])):
        office.told.clear()
        office.desk.answer(office.clients[0], Incoming(Chunk(sha256=sha256, offset=offset), (part, b"no part of it")))
        assert [message for _, message, _ in office.told] == [Have(sha256=sha256, offset=offset + len(part))]
    assert office.ask(Offer(sha256=sha256, size=len(data)), 1) == [Have(sha256=sha256, offset=len(data))]


def test_a_cancel_goes_to_the_queue_or_is_answered_with_the_end(office: Office) -> None:
    office.desk.answer(office.clients[0], Incoming(Cancel(job=A), ()))
    assert (office.queue.asked, office.told) == ([A], [])
    assert office.ask(Cancel(job=B)) == [office.store.get(B).end]  # type: ignore[union-attr]
    assert office.queue.asked == [A]


def test_who_watches_a_job_that_has_ended_is_told_its_end(office: Office) -> None:
    seen, end = office.ask(Watch(job=B))
    assert isinstance(seen, Jobs)
    assert [view.job for view in seen.jobs] == [B]
    assert end == office.store.get(B).end  # type: ignore[union-attr]
    assert len(office.ask(Watch(job=A))) == 1
    assert office.clients[0].watched == {A, B}


def test_the_queue_is_paused_and_resumed_and_models_are_let_go(office: Office) -> None:
    for paused in (Pause(), Resume()):
        office.desk.answer(office.clients[0], Incoming(paused, ()))
    for request in (Free(), AskStatus()):
        (status,) = office.ask(request)
        assert isinstance(status, Status)
        assert (status.loads, status.clients, status.workers) == (3, 2, ())
        assert status.data_folder == str(places.data_folder())
    assert office.queue.asked == [True, False, "free"]


def test_a_guest_may_have_so_much_unfetched_and_the_owner_as_much_as_there_is(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.clients.append(Peer(b"guest", "guest", Owner("studio", "1" * 32)))
    most = ServeOptions().guest_bytes
    for taken in (most - 1, most):
        monkeypatch.setattr(Tally, "waiting", lambda self, principal, taken=taken: taken)
        office.desk.answer(office.clients[0], Incoming(CLIP, ()))
        office.desk.answer(office.clients[2], Incoming(CLIP, ()))
    assert [job.owner.principal for job, _ in office.queue.submitted] == ["local", "studio", "local"]
    failed = office.told[-1][1]
    assert isinstance(failed, Failed)
    assert failed.code == "results_full"


def test_a_client_of_another_version_is_not_let_in(office: Office) -> None:
    for major in (MAJOR - 1, MAJOR + 1):
        refused = office.desk.welcome(b"three", "local", Hello(major=major, client="three", request_id="9"))
        assert refused is not None
        assert (refused.code, refused.request_id) == ("version", "9")
    assert len(office.peers) == 2


# What cannot be done -----------------------------------------------------------------------------------------


def locked(*_: object, **__: object) -> NoReturn:
    """What the database says while another program holds it."""
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    raise refusal(error, Path("queue.db"))


def test_nothing_new_is_begun_once_the_end_was_asked_for(office: Office) -> None:
    office.desk.answer(office.clients[0], Incoming(Shutdown(), ()))
    assert office.stopped == 1
    (failed,) = office.ask(Generate(job=C, prompt="a cat", style="plain", frames=1, width=64, height=64, seed=1))
    assert isinstance(failed, Failed)
    assert (failed.job, failed.code) == (C, "shutting_down")
    assert office.store.get(C) is None


def test_a_request_that_the_database_or_the_disk_does_not_take_is_denied_with_the_reason(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobStore, "receive", locked)
    (denied,) = office.ask(Received(job=B))
    assert isinstance(denied, Denied)
    assert (denied.request, denied.job, denied.code) == ("Received", B, "queue_unusable")
    assert "another program holds it" in denied.message

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Uploads, "offer", full)
    (denied,) = office.ask(Offer(sha256="f" * 64, size=8))
    assert isinstance(denied, Denied)
    assert (denied.request, denied.job, denied.code) == ("Offer", "f" * 64, "disk_full")


def test_who_comes_back_while_the_database_does_not_answer_is_let_in_and_told_later(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "READ_SECONDS", 1000.0)
    asked: list[None] = []

    def next_end_number(store: JobStore) -> int:
        asked.append(None)
        return locked()

    with monkeypatch.context() as trouble:
        trouble.setattr(JobStore, "may_use", locked)
        trouble.setattr(JobStore, "next_end_number", next_end_number)
        assert office.desk.welcome(b"three", "local", Hello(major=MAJOR, client="three", client_id="1" * 32)) is None
        assert [type(message) for _, message, _ in office.told] == [Welcome]
        for _ in range(20):
            office.desk.look()
        assert len(asked) == 2, "at once again, and then not at every round"
        assert not office.desk.busy
    monkeypatch.setattr(office.desk, "_read_at", 0.0)
    office.desk.look()
    assert office.desk.busy
    while office.desk.busy:
        office.desk.look()
    told = [message for _, message, _ in office.told[1:]]
    assert [one.job for message in told if isinstance(message, Jobs) for one in message.jobs] == [A, B]
    assert told[-1] == office.store.get(B).end
