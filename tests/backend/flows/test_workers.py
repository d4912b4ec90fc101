"""Workers in real processes: several of them, killed ones, stuck ones, idle ones; and clients that come back."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
import zmq

from backend.orders import Preview, Ready
from backend.serve_options import ServeOptions
from backend.server.door import Door
from backend.server.worker_process import WorkerProcess, output_file
from shared_protocol.client import Lost
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Done,
    Failed,
    Fetch,
    Fetched,
    Frame,
    Free,
    Jobs,
    Move,
    Notice,
    Pause,
    Progress,
    Queue,
    Received,
    Resume,
    Shutdown,
    Watch,
)
from tests.backend.harness import ENDS, Conversation, Running, gone, greet, pid_of, running, until

ME, OTHER = "1" * 32, "2" * 32
posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


def painting(client: Conversation, job: str) -> Progress:
    return client.expect(Progress, lambda message: message.job == job and message.phase == "painting")


def pids(client: Conversation) -> dict[str, int]:
    """Job → process of the worker that has it."""
    return {worker.job: worker.pid for worker in client.status().workers if worker.job}


def notices(client: Conversation, job: str) -> list[Notice]:
    return [message for message, _ in client.of(job) if isinstance(message, Notice)]


def frames(client: Conversation, job: str) -> list[int]:
    return [message.index for message, _ in client.of(job) if isinstance(message, Frame)]


def previews(client: Conversation, job: str) -> list[Progress]:
    progress = [(message, buffers) for message, buffers in client.of(job) if isinstance(message, Progress)]
    assert all(bool(message.preview_frames) == bool(buffers) for message, buffers in progress)
    return [message for message, _ in progress if message.preview_frames]


@pytest.fixture
def two() -> Iterator[Running]:
    with running("--device", "cpu,cpu", step_seconds=0.1) as backend:
        yield backend


def test_two_workers_work_at_once_each_in_its_own_process(two: Running) -> None:
    with two.client() as client:
        first, second, third = (client.submit(seed=seed, frames=frames) for seed, frames in ((1, 16), (2, 1), (3, 1)))
        painting(client, first)
        painting(client, second)
        having = pids(client)
        assert set(having) == {first, second}
        assert len(set(having.values())) == 2
        assert set(having.values()) == {process.pid for process in two.family}
        assert [worker.device for worker in client.status().workers] == ["cpu", "cpu"]
        free = having[second] if isinstance(client.end_of(second), Done) else 0
        painting(client, third)
        assert pids(client)[third] in (free, having[first]), "no third worker"
        assert isinstance(client.end_of(third), Done)


def test_the_loss_of_one_of_two_workers_is_not_the_others(two: Running) -> None:
    with two.client() as client:
        kept, doomed = client.submit(seed=1), client.submit(seed=2)
        for job in (kept, doomed):
            painting(client, job)
        before = pids(client)
        psutil.Process(before[doomed]).kill()
        assert client.expect(Notice).job == doomed
        painting(client, doomed)
        after = pids(client)
        assert after[doomed] != before[doomed]
        assert after.get(kept, before[kept]) == before[kept]
        for job in (kept, doomed):
            assert isinstance(client.end_of(job), Done) or any(
                isinstance(message, Done) for message, _ in client.of(job)
            )
        assert not notices(client, kept)
        assert [notice.again for notice in notices(client, doomed)] == [True]


def test_a_job_that_hangs_once_is_begun_anew() -> None:
    with running("--silence", "2", step_seconds=0.02) as backend, backend.client() as client:
        job = client.submit("fail:hang-once")
        painting(client, job)
        (stuck,) = backend.family
        assert isinstance(client.end_of(job), Done)
        assert [notice.again for notice in notices(client, job)] == [True]
        assert frames(client, job) == [0, 1, 2, 3]
        assert gone(stuck)


def test_a_job_that_always_hangs_fails_and_the_next_one_is_made() -> None:
    with running("--silence", "1.5", step_seconds=0.02) as backend, backend.client() as client:
        job, after = client.submit("fail:hang"), client.submit()
        failed = client.end_of(job)
        assert isinstance(failed, Failed)
        assert failed.code == "worker_hung"
        assert len(notices(client, job)) == 1
        assert isinstance(client.end_of(after), Done)


def test_a_job_that_always_crashes_fails_and_says_where_the_log_is(backend: Running) -> None:
    with backend.client() as client:
        job, after = client.submit("fail:crash"), client.submit()
        failed = client.end_of(job)
        assert isinstance(failed, Failed)
        assert failed.code == "worker_died"
        assert str(output_file("auto")) in failed.next_step
        assert len(notices(client, job)) == 1
        assert isinstance(client.end_of(after), Done)
        assert output_file("auto").exists()


@pytest.mark.parametrize("package", ["torch", "diffusers"])
def test_a_broken_environment_is_named_and_the_job_waits(package: str, tmp_path: Path) -> None:
    """A package that is there by half: Python finds it and does not find what it needs."""
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("import not_there_any_more", encoding="utf-8")
    with running(fake=False, PYTHONPATH=str(tmp_path)) as backend, backend.client() as client:
        job = client.submit()
        said = client.expect(Notice, lambda notice: notice.job == job).message
        assert "environment is broken: No module named 'not_there_any_more'. Mend it with" in said
        assert "install.py setup" in said
        assert "memory" not in said
        assert client.jobs().queue.stopped.startswith(said)


def test_a_job_that_crashes_once_succeeds(backend: Running) -> None:
    with backend.client() as client:
        job = client.submit("fail:crash-once")
        assert isinstance(client.end_of(job), Done)
        assert len(notices(client, job)) == 1


@posix
def test_a_frozen_worker_is_replaced() -> None:
    """It cannot even end when it is asked to."""
    with running("--silence", "2", step_seconds=0.1) as backend, backend.client() as client:
        job = client.submit()
        painting(client, job)
        (frozen,) = backend.family
        frozen.send_signal(signal.SIGSTOP)
        assert isinstance(client.end_of(job), Done)
        assert len(notices(client, job)) == 1
        assert gone(frozen)


def test_an_idle_worker_ends_and_the_next_job_starts_another() -> None:
    with running("--idle", "1") as backend, backend.client() as client:
        assert isinstance(client.end_of(client.submit()), Done)
        (first,) = backend.family
        assert gone(first)
        assert until(lambda: pid_of(client.status()) == 0)
        assert isinstance(client.end_of(client.submit()), Done)
        assert client.status().loads == 2


def test_free_ends_the_worker_that_has_no_job(backend: Running) -> None:
    with backend.client() as client:
        client.end_of(client.submit())
        (first,) = backend.family
        client.client.send(Free())
        assert pid_of(client.status()) == 0
        assert gone(first)
        assert isinstance(client.end_of(client.submit()), Done)


def test_free_leaves_the_worker_that_has_one() -> None:
    with running(step_seconds=0.05) as backend, backend.client() as client:
        job = client.submit()
        painting(client, job)
        client.client.send(Free())
        assert isinstance(client.end_of(job), Done)
        assert not notices(client, job)


@pytest.fixture
def start(home: Path) -> Iterator[Callable[[], WorkerProcess]]:
    """Starts workers without a server."""
    (home / "state").mkdir(parents=True)
    workers: list[WorkerProcess] = []
    with zmq.Context() as context:
        door = Door(context)

        def start() -> WorkerProcess:
            workers.append(WorkerProcess(context, door, ServeOptions(fake=True), "cpu"))
            return workers[-1]

        yield start
        for worker in workers:
            worker.end()
            worker.wait()
        assert not door.domains, "an ended worker leaves nothing at the door"
        door.stop()


def came(worker: WorkerProcess) -> bool:
    """Whether it has said something."""
    return bool(worker.socket.poll(0))


def test_workers_of_one_device_that_start_at_once_all_come_in(start: Callable[[], WorkerProcess]) -> None:
    workers = [start(), start()]
    for worker in workers:
        assert until(partial(came, worker))
        assert [incoming.message for incoming in worker.receive()] == [Ready(device="none")]


def test_what_is_sent_to_a_worker_that_has_just_ended_is_no_fault(start: Callable[[], WorkerProcess]) -> None:
    """Between its end and the look at its exit code lies a moment; the server must live through it."""
    worker = start()
    assert until(lambda: bool(worker.socket.poll(0)))
    psutil.Process(worker.pid).kill()
    assert until(lambda: not worker.socket.poll(0, zmq.POLLOUT))
    worker.send(Preview(job="a", wanted=True))
    assert until(lambda: worker.exit_code is not None)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is set as on Linux")
def test_a_server_without_descriptors_loses_nothing(backend: Running) -> None:
    """It has some in reserve; when these are gone too, the job waits until there are some again."""
    with backend.client() as client:
        client.status()
        server = psutil.Process(backend.process.pid)
        most = server.rlimit(psutil.RLIMIT_NOFILE)
        server.rlimit(psutil.RLIMIT_NOFILE, (12, most[1]))  # fewer than are open
        job = client.submit()
        stopped = client.expect(Queue).queue.stopped
        assert "Too many open files" in stopped
        server.rlimit(psutil.RLIMIT_NOFILE, most)
        assert isinstance(client.end_of(job), Done)
        assert not client.status().queue.stopped


# Clients that come and go ------------------------------------------------------------------------------------


def test_a_client_that_leaves_finds_its_job_done_when_it_comes_back() -> None:
    with running(step_seconds=0.05) as backend:
        with backend.client(client_id=ME) as client:
            job = client.submit(frames=6)
            painting(client, job)
        with backend.client() as watcher:
            watcher.until_settled()
            assert not watcher.of(job), "it is another's"
        for _ in range(2):
            with backend.client(client_id=ME) as client:
                assert greet(client).client_id == ME
                (seen,) = client.expect(Jobs).jobs
                assert (seen.job, seen.state, seen.mine, seen.has_result) == (job, "done", True, True)
                done = client.end_of(job)
                assert isinstance(done, Done)
                client.client.send(Fetch(job=job, first=1, count=3))
                assert client.expect(Fetched).count == 3
                assert frames(client, job) == [1, 2, 3]
                client.client.send(Fetch(job=job, count=64))
                assert client.expect(Fetched).count == 6
        with backend.client(client_id=ME) as client:
            client.client.send(Received(job=job))
            client.status()
        with backend.client(client_id=ME) as client:
            client.status()
            assert not client.of(job)
            assert [view.received for view in client.jobs(ended=5).jobs] == [True]


def test_a_client_that_comes_back_in_the_middle_hears_the_rest() -> None:
    with running(step_seconds=0.1) as backend:
        with backend.client(client_id=ME) as client:
            job = client.submit()
            painting(client, job)
        with backend.client(client_id=ME) as client:
            greet(client)
            (seen,) = client.expect(Jobs).jobs
            assert (seen.job, seen.state) == (job, "running")
            assert seen.step > 0
            assert isinstance(client.end_of(job), Done)
            assert len([message for message, _ in client.of(job) if isinstance(message, ENDS)]) == 1


def test_another_of_the_same_key_may_watch_with_previews_and_cancel() -> None:
    with running(step_seconds=0.2) as backend, backend.client(client_id=ME) as owner:
        job = owner.submit()
        painting(owner, job)
        with backend.client(client_id=OTHER) as watcher:
            watcher.client.send(Watch(job=job, previews=True))
            (seen,) = watcher.expect(Jobs).jobs
            assert (seen.job, seen.mine) == (job, False)
            watcher.expect(Progress, lambda message: message.preview_frames == 4)
            watcher.client.send(Cancel(job=job))
            assert watcher.end_of(job) == Cancelled(job=job)
        assert owner.end_of(job) == Cancelled(job=job)


def test_previews_go_only_to_the_connection_that_asked() -> None:
    with (
        running(step_seconds=0.05) as backend,
        backend.client(client_id=ME) as asks,
        backend.client(client_id=ME) as no,
    ):
        with backend.client(client_id=OTHER) as watcher:
            greet(no)
            job = asks.submit(previews=True)
            asks.expect(Progress, lambda message: message.preview_frames > 0)
            watcher.client.send(Watch(job=job))
            for client in (asks, no, watcher):
                assert isinstance(client.end_of(job), Done)
        assert len(previews(asks, job)) > 1
        for client in (no, watcher):
            assert client.of(job), "it hears of the job"
            assert not previews(client, job)


def test_previews_end_when_nobody_wants_them_any_more() -> None:
    with running(step_seconds=0.3) as backend, backend.client(client_id=ME) as client:
        with backend.client(client_id=ME) as leaves:
            greet(leaves)
            job = client.submit(previews=True, frames=8)
            client.expect(Accepted)  # two connections: nothing orders one's Watch after the other's Generate
            leaves.client.send(Watch(job=job, previews=True))
            leaves.expect(Progress, lambda message: message.preview_frames > 0)
            client.client.send(Watch(job=job, previews=False))
            client.expect(Jobs)
            before = len(previews(client, job))
            leaves.expect(Progress, lambda message: message.preview_frames > 0)
        assert isinstance(client.end_of(job), Done)
        assert len(previews(client, job)) == before


def test_a_refused_request_brings_no_previews_of_the_job_that_has_its_name() -> None:
    with running(step_seconds=0.05) as backend, backend.client(client_id=ME) as client:
        _, waits = client.submit(), client.submit()
        client.submit(job=waits, previews=True)
        client.expect(Failed, lambda message: message.code == "duplicate_job")
        client.expect(Done, lambda message: message.job == waits)
        assert not previews(client, waits)


def test_a_job_that_waits_is_watched_with_previews() -> None:
    with running(step_seconds=0.05) as backend, backend.client(client_id=ME) as client:
        _, waits = client.submit(), client.submit()
        client.client.send(Watch(job=waits, previews=True))
        assert isinstance(client.end_of(waits), Done)
        assert previews(client, waits)


def test_the_order_of_the_queue_and_its_pause_outlive_the_server() -> None:
    with running(step_seconds=1) as backend, backend.client(client_id=ME) as client:
        runs, *waiting = (client.submit(seed=seed) for seed in range(5))
        painting(client, runs)
        client.client.send(Move(job=waiting[3], position=0))
        client.client.send(Move(job=waiting[0], position=2))
        client.client.send(Pause())
        assert client.expect(Queue).queue.paused
        order = [runs, waiting[3], waiting[1], waiting[0], waiting[2]]
        assert [view.job for view in client.jobs().jobs] == order
        backend.process.kill()
        client.expect(Lost)
    with running() as backend, backend.client(client_id=ME) as client:
        assert greet(client).queue.paused
        assert [view.job for view in client.expect(Jobs).jobs] == order
        assert {view.state for view in client.jobs().jobs} == {"queued"}
        client.client.send(Resume())
        client.until_settled()
        assert [message.job for message, _ in client.heard if isinstance(message, Done)] == order


def test_a_shutdown_keeps_what_is_unfinished() -> None:
    with running(step_seconds=0.2) as backend, backend.client(client_id=ME) as client:
        jobs = [client.submit(seed=seed) for seed in range(2)]
        painting(client, jobs[0])
        client.client.send(Shutdown())
        assert backend.process.wait(20) == 0
    with running() as backend, backend.client(client_id=ME) as client:
        client.until_settled()
        assert {type(message) for message, _ in client.heard if isinstance(message, ENDS)} == {Done}
        assert [message.job for message, _ in client.heard if isinstance(message, Done)] == jobs


def test_without_a_client_it_ends_only_when_no_job_is_left() -> None:
    with running("--grace", "0", step_seconds=0.1) as backend:
        with backend.client(client_id=ME) as client:
            jobs = [client.submit(seed=seed) for seed in range(2)]
            painting(client, jobs[0])
        assert backend.process.wait(60) == 0
    with running() as backend, backend.client(client_id=ME) as client:
        assert [view.state for view in client.expect(Jobs).jobs] == ["done", "done"]


def test_a_result_is_the_same_whether_it_was_interrupted_or_not(home: Path) -> None:
    with running(step_seconds=0.05) as backend, backend.client(client_id=ME) as client:
        job = client.submit(seed=7)
        painting(client, job)
        backend.process.kill()
        client.expect(Lost)
    with running() as backend, backend.client(client_id=ME) as client:
        client.end_of(job)
        plain = client.submit(seed=7)
        client.expect(Accepted, lambda message: message.job == plain)
        client.end_of(plain)
    folders = [home / "data" / "results" / name for name in (job, plain)]
    pictures = [[path.read_bytes() for path in sorted(folder.glob("frame_*.png"))] for folder in folders]
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) == 4
