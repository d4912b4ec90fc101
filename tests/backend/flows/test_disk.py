"""Full disks, folders that cannot be written, damaged and foreign databases, two backends for one folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import msgspec
import psutil
import pytest

from backend.server.checkup import SMALL_BYTES
from backend.server.hold import ADVICE
from backend.server.jobs import Job, Owner
from backend.server.schema import SCHEMA_VERSION, STEPS
from backend.server.store import JobStore
from elevator.pictures.clip_folder import frame_name
from shared_protocol import connection
from shared_protocol.client import Lost
from shared_protocol.errors import NoBackend
from shared_protocol.machine import places
from shared_protocol.machine.processes import start_time
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Denied,
    Done,
    Failed,
    Message,
    Notice,
    Pause,
    Progress,
    Queue,
    Resume,
)
from tests.backend import orders
from tests.backend.damage import spoil_a_page
from tests.backend.disks import Disk, LimitedDisk, limit, small_disk
from tests.backend.harness import ENDS, ROOT, Conversation, Running, command, greet, run, running, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits, namespaces and users are made as on Linux")
ME, OTHER = "1" * 32, "2" * 32
NOBODY = 65534


def painting(client: Conversation, job: str) -> None:
    client.expect(Progress, lambda message: message.job == job and message.phase == "painting")


def ends(client: Conversation) -> dict[str, type[Message]]:
    found = [message for message, _ in client.heard if isinstance(message, ENDS)]
    assert len({end.job for end in found}) == len(found), "a job has ended twice"
    return {end.job: type(end) for end in found}


def stops(client: Conversation) -> list[str]:
    """The sentences with which the queue has stopped."""
    return [
        message.queue.stopped for message, _ in client.heard if isinstance(message, Queue) and message.queue.stopped
    ]


def whole(results: Path, job: str, count: int = 4) -> bool:
    """Whether a result is all there."""
    pictures = [cv2.imread(str(results / job / frame_name(index))) for index in range(count)]
    return (results / job / "result.json").exists() and all(picture is not None for picture in pictures)


def database() -> Path:
    return places.data_folder() / "queue.db"


# Full disks ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["a small disk", "a limit"])
def disk(request: pytest.FixtureRequest, home: Path) -> Iterator[Disk]:
    if request.param == "a limit":
        yield LimitedDisk(home / "data")
        return
    try:
        with small_disk(home / "data") as disk:
            yield disk
    except PermissionError:
        pytest.skip("this user may mount nothing; the limit shows the same")


def test_a_full_disk_stops_the_queue_with_one_sentence_and_loses_nothing(disk: Disk) -> None:
    with (
        running("--stay", through=disk.through, step_seconds=0.05) as backend,
        backend.client() as client,
        backend.client() as other,
    ):
        greet(other)
        jobs = [client.submit(seed=seed) for seed in range(3)]
        painting(client, jobs[0])
        disk.fill(backend)
        sentence = client.expect(Queue).queue.stopped
        assert sentence == f"The disk is full. Free some space there and try again. {ADVICE}"
        status = client.status()
        assert (status.queue.running, status.queue.waiting, status.queue.stopped) == (0, 3, sentence)
        assert [(view.job, view.state) for view in client.jobs().jobs] == [(job, "queued") for job in jobs]
        (notice,) = [message for message, _ in client.of(jobs[0]) if isinstance(message, Notice)]
        assert notice.again
        time.sleep(0.5)
        client.status()
        other.status()
        assert stops(client) == stops(other) == [sentence]
        assert not ends(client)
        disk.clear(backend)
        client.client.send(Resume())
        client.until_settled()
        assert ends(client) == dict.fromkeys(jobs, Done)
        assert all(whole(disk.data / "results", job) for job in jobs)


@pytest.mark.parametrize("disk", ["a small disk"], indirect=True)
def test_the_queue_goes_on_by_itself_once_there_is_room(disk: Disk) -> None:
    with running("--stay", through=disk.through, step_seconds=0.05) as backend, backend.client() as client:
        jobs = [client.submit(seed=seed) for seed in range(2)]
        painting(client, jobs[0])
        disk.fill(backend)
        client.expect(Queue, lambda message: bool(message.queue.stopped))
        disk.clear(backend)
        client.expect(Queue, lambda message: not message.queue.stopped)
        client.until_settled()
        assert ends(client) == dict.fromkeys(jobs, Done)


def test_to_go_on_while_the_disk_is_still_full_loses_nothing_either(disk: Disk) -> None:
    with running("--stay", through=disk.through) as backend, backend.client() as client:
        client.end_of(client.submit())
        disk.fill(backend)
        jobs = submit_until_refused(client)
        for _ in range(3):
            client.client.send(Resume())
            client.expect(Message, lambda message: isinstance(message, Denied | Queue))
            assert until(lambda: client.status().queue.running == 0)
        disk.clear(backend)
        client.client.send(Resume())
        client.until_settled()
        assert all(ends(client)[job] is Done for job in jobs)


def submit_until_refused(client: Conversation) -> list[str]:
    """Submit until the queue's file has no room. Checks that what was refused is not there. Those that were taken.

    SQLite writes into room that it has already, so the first ones may be taken.
    """
    taken: list[str] = []
    for _ in range(2000):
        job = client.submit()
        answer = client.expect(
            Message,
            lambda message: isinstance(message, Accepted | Failed) and message.job == job,  # noqa: B023
        )
        if isinstance(answer, Failed):
            assert (answer.code, answer.message) == ("disk_full", "The disk is full.")
            assert {view.job for view in client.jobs().jobs} == set(taken)
            return taken
        taken.append(job)
    raise AssertionError("the disk was never full")


def test_a_job_that_finds_no_room_is_not_there_and_can_be_submitted_again(disk: Disk) -> None:
    with running("--stay", through=disk.through) as backend, backend.client() as client:
        client.end_of(client.submit())
        disk.fill(backend)
        submit_until_refused(client)
        refused = client.heard[-2].message if isinstance(client.heard[-2].message, Failed) else None
        assert refused is not None
        disk.clear(backend)
        client.client.send(Resume())
        client.expect(Queue, lambda message: not message.queue.stopped)
        client.submit(job=refused.job)
        assert isinstance(client.end_of(refused.job), Done)


def test_a_cancel_on_a_full_disk_holds_once_there_is_room(disk: Disk) -> None:
    """The end cannot be stored, so nobody hears of it yet; and the job must not be started meanwhile."""
    with running("--stay", through=disk.through, step_seconds=0.05) as backend, backend.client() as client:
        jobs = [client.submit(seed=seed) for seed in range(3)]
        painting(client, jobs[0])
        disk.fill(backend)
        client.expect(Queue)
        if isinstance(disk, LimitedDisk):
            for job in jobs[:2]:
                client.client.send(Cancel(job=job))
            client.status()
            assert not ends(client)
            disk.clear(backend)
        else:
            disk.clear(backend)
            for job in jobs[:2]:
                client.client.send(Cancel(job=job))
        client.client.send(Resume())
        client.until_settled()
        assert ends(client) == {jobs[0]: Cancelled, jobs[1]: Cancelled, jobs[2]: Done}
        progress = [message for message, _ in client.of(jobs[1]) if isinstance(message, Progress)]
        assert {message.phase for message in progress} <= {"waiting"}


def test_a_result_that_the_server_cannot_store_is_made_again(home: Path) -> None:
    """The worker has written all frames, and then there is no room for the record."""
    with running("--stay", step_seconds=0.02) as backend, backend.client() as client:
        job = client.submit()
        painting(client, job)
        limit([backend.process.pid], 0)
        client.expect(Queue)
        assert not ends(client)
        assert not (home / "data" / "results" / job).exists()
        limit([backend.process.pid], -1)
        client.client.send(Resume())
        assert isinstance(client.end_of(job), Done)
        assert whole(home / "data" / "results", job)


def test_a_killed_server_on_a_full_disk_loses_nothing(disk: Disk) -> None:
    with running("--stay", through=disk.through, step_seconds=0.05) as backend:
        with backend.client(client_id=ME) as client:
            jobs = [client.submit(seed=seed) for seed in range(2)]
            painting(client, jobs[0])
            disk.fill(backend)
            client.expect(Queue)
            backend.process.kill()
            client.expect(Lost)
        backend.process.wait()
        if not isinstance(disk, LimitedDisk):
            disk.clear(backend)
    with running("--stay", through=disk.through) as backend, backend.client(client_id=ME) as client:
        client.until_settled()
        assert ends(client) == dict.fromkeys(jobs, Done)


# Folders that cannot be written -------------------------------------------------------------------------------


@pytest.fixture
def as_nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A home of a user without rights, and the command that becomes that user."""
    home = Path(tempfile.mkdtemp())
    monkeypatch.setenv("ELEVATOR_HOME", str(home))
    (home / "data" / "results").mkdir(parents=True)
    becomes: tuple[str, ...] = ()
    if os.getuid() == 0:
        # It may read what root may, for this interpreter may lie there; but write no more than anybody.
        reading = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        becomes = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reading)
        for folder in (home, home / "data", home / "data" / "results"):
            os.chown(folder, NOBODY, NOBODY)
    yield home, becomes
    (home / "data" / "results").chmod(0o700)
    shutil.rmtree(home)


def test_a_results_folder_that_cannot_be_written_stops_the_queue(as_nobody: tuple[Path, tuple[str, ...]]) -> None:
    home, becomes = as_nobody
    results = home / "data" / "results"
    results.chmod(0o500)
    with running("--stay", through=becomes) as backend, backend.client() as client:
        assert psutil.Process(backend.process.pid).uids().effective == (NOBODY if becomes else os.getuid())
        job = client.submit()
        sentence = client.expect(Queue).queue.stopped
        assert sentence.startswith(f"The folder of results {results}")
        assert "cannot be written: Permission denied. Give its owner the right" in sentence
        assert not ends(client)
        assert client.status().queue.waiting == 1
        results.chmod(0o700)
        client.client.send(Resume())
        assert isinstance(client.end_of(job), Done)
        assert whole(results, job)


def test_a_results_folder_that_gets_locked_while_a_job_runs(as_nobody: tuple[Path, tuple[str, ...]]) -> None:
    home, becomes = as_nobody
    results = home / "data" / "results"
    with running("--stay", through=becomes, step_seconds=0.05) as backend, backend.client() as client:
        doomed, job = client.submit(seed=1), client.submit(seed=2)
        painting(client, doomed)
        results.chmod(0o500)
        assert "cannot be written" in client.expect(Queue).queue.stopped
        assert not ends(client)
        client.client.send(Cancel(job=doomed))  # what it has left cannot be deleted
        assert client.end_of(doomed) == Cancelled(job=doomed)
        assert client.status().queue.waiting == 1
        results.chmod(0o700)
        client.client.send(Resume())
        assert isinstance(client.end_of(job), Done)
    with running("--stay", through=becomes) as backend, backend.client() as client:
        greet(client)
        left = until(lambda: {path.name for path in results.iterdir()} == {job})
        assert left, "what could not be deleted goes after the next start, bit by bit"


# Databases ----------------------------------------------------------------------------------------------------


def leave_jobs(done: int = 2, waiting: int = 2, *, kill: bool = False) -> tuple[list[str], list[str]]:
    """A backend that has ended, in order or killed. Its finished jobs and its waiting ones."""
    with running("--stay") as backend, backend.client(client_id=ME) as client:
        finished = [client.submit(seed=seed) for seed in range(done)]
        client.until_settled()
        client.client.send(Pause())
        waits = [client.submit(seed=seed) for seed in range(waiting)]
        client.status()
        if kill:
            backend.process.kill()
            backend.process.wait()
    return finished, waits


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    path.write_bytes(b"This is a letter, not a database.\n" * 1000)


def scratch(path: Path) -> None:
    """The second half of each page."""
    data = bytearray(path.read_bytes())
    for start in range(4096, len(data), 4096):
        data[start + 100 : start + 4096] = os.urandom(3996)
    path.write_bytes(data)


def delete(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [cut, empty, overwrite, scratch, delete])
def test_a_damaged_database_is_said_and_finished_clips_are_found_again(harm: Callable[[Path], None]) -> None:
    finished, _ = leave_jobs()
    harm(database())
    with running("--stay") as backend, backend.client(client_id=ME) as client:
        welcome = greet(client)
        (note,) = welcome.notes
        damaged = harm not in (empty, delete)
        assert note.startswith("The queue's file was damaged" if damaged else "The queue's file did not know")
        assert note.endswith(" 2 finished ones were found again.")
        assert len(list(database().parent.glob("queue-damaged-*.db"))) == damaged
        assert welcome.queue.waiting == 0
        client.until_settled()
        assert ends(client) == dict.fromkeys(finished, Done)
        assert isinstance(client.end_of(client.submit()), Done)
    with closing(sqlite3.connect(database())) as base:
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_damage_in_a_large_database_ends_the_backend_and_costs_no_clip() -> None:
    """It is found while the backend serves already; the next start puts the file aside."""
    finished, (waits,) = leave_jobs(2, 1)
    store = JobStore(database())
    for number in range(2 * SMALL_BYTES // 100_000):  # so large that it is looked through later
        name = f"{number:032x}"
        store.add(Job(name, Owner("local", OTHER), orders.order(), prompt="x" * 100_000))
        store.finish(Cancelled(job=name))
    store.close()
    spoil_a_page(database())
    ended = run("serve", "--fake", "--stay")
    assert ended.returncode == 3
    assert f"The queue {database()} is damaged, so the backend has ended" in ended.stderr
    assert not places.connection_file().exists()
    with running("--stay") as backend, backend.client(client_id=ME) as client:
        (note,) = greet(client).notes
        assert "1 waiting clips were read from it, 2 finished ones were found again." in note
        client.until_settled()
        assert ends(client) == dict.fromkeys([*finished, waits], Done)


def test_a_lost_log_of_changes_costs_no_finished_clip() -> None:
    """Someone tidies up and deletes `queue.db-wal` of a killed backend: what is only in there cannot come back."""
    finished, waits = leave_jobs(kill=True)
    for suffix in ("-wal", "-shm"):
        database().with_name(f"queue.db{suffix}").unlink()
    with running("--stay") as backend, backend.client(client_id=ME) as client:
        client.until_settled()
        assert set(finished) <= set(ends(client)) <= {*finished, *waits}
        assert isinstance(client.end_of(client.submit()), Done)


def test_a_database_of_a_newer_release_is_refused_in_one_sentence_and_left_alone() -> None:
    leave_jobs()
    with closing(sqlite3.connect(database())) as base:
        base.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = database().read_bytes()
    refused = run("serve", "--fake")
    assert refused.returncode == 3
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"The queue {database()} was written by a newer release")
    assert database().read_bytes() == before
    assert not places.connection_file().exists()


def test_the_queue_of_the_first_release_goes_on(home: Path) -> None:
    database().parent.mkdir(parents=True)
    jobs = ["a" * 32, "b" * 32, "c" * 32, "d" * 32]
    row = "INSERT INTO jobs (id, place, principal, client_id, work, prompt, state, submitted, ending, ended) VALUES "
    with closing(sqlite3.connect(database(), isolation_level=None)) as base:
        for statement in STEPS[0]:
            base.execute(statement)
        base.execute("PRAGMA user_version = 1")
        for place, (job, state) in enumerate(zip(jobs, ("running", "queued", "queued", "done"), strict=True)):
            order = msgspec.structs.replace(orders.order(), width=64, height=64)
            end = msgspec.json.encode(orders.done(job)) if state == "done" else None
            values = (job, 10.0 - place, "local", ME, msgspec.json.encode(order), "a cat", state, 5.0, end, end and 1)
            base.execute(f"{row} (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    with running("--stay") as backend, backend.client(client_id=ME) as client:
        client.until_settled()
        assert ends(client) == dict.fromkeys(jobs, Done)
        made = [message.job for message, _ in client.heard if isinstance(message, Done) and message.job != jobs[3]]
        assert made == [jobs[2], jobs[1], jobs[0]], "by their places"
        assert all(whole(home / "data" / "results", job, 1) for job in made)


def test_a_result_that_was_published_just_before_the_end_counts() -> None:
    """Killed between the result's name and the job's end in the database: nothing is made twice."""
    (job,), _ = leave_jobs(1, 0)
    with closing(sqlite3.connect(database(), isolation_level=None)) as base:
        base.execute("UPDATE jobs SET state = 'running', ending = NULL, ended = NULL, bytes = 0")
        base.execute("DELETE FROM facts")  # the pause
    with running("--stay") as backend, backend.client(client_id=ME) as client:
        client.until_settled()
        assert ends(client) == {job: Done}
        assert client.status().loads == 0, "no worker had to make it"
        assert [view.has_result for view in client.jobs(ended=1).jobs] == [True]


# Two backends -------------------------------------------------------------------------------------------------


def test_of_four_that_start_at_once_one_serves_and_the_others_say_so() -> None:
    arguments = command("serve", "--fake", "--stay")
    started = [
        subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        assert until(lambda: sum(process.poll() is not None for process in started) == 3)
        (serves,) = [process for process in started if process.poll() is None]
        assert until(lambda: places.connection_file().exists())
        found = connection.read(places.connection_file())
        assert found.pid == serves.pid
        for process in started:
            if process is not serves:
                said, complained = process.communicate()
                assert process.returncode == 0
                assert said.startswith("A backend runs already")
                assert not complained
        with Running(serves, found).client() as client:  # type: ignore[arg-type]
            assert isinstance(client.end_of(client.submit()), Done)
    finally:
        for process in started:
            process.terminate()
            process.communicate()


def test_a_connection_file_whose_process_is_another_today_is_replaced() -> None:
    with running() as backend:
        old = backend.connection
        backend.process.kill()
        backend.process.wait()
    for pid, started in ((os.getpid(), old.started), (2**22 - 1, old.started)):
        connection.write(places.connection_file(), msgspec.structs.replace(old, pid=pid, started=started))
        assert start_time(pid) != started
        with pytest.raises(NoBackend):
            connection.read(places.connection_file())
    with running() as backend, backend.client() as client:
        greet(client)
        assert connection.read(places.connection_file()).session != old.session
