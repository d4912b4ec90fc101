"""How a backend begins and ends, and that nothing is left behind, whatever is killed."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from backend.client.launch import start_backend
from shared_protocol import client as client_module
from shared_protocol import connection
from shared_protocol.client import Lost
from shared_protocol.machine import places
from shared_protocol.machine.processes import is_running
from shared_protocol.messages import Accepted, Done, Goodbye, Jobs, Notice, Progress, Shutdown
from tests.backend.harness import ENDS, Running, gone, greet, pid_of, run, running, until

posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


def busy(backend: Running, client: object) -> psutil.Process:
    """The worker, while it samples."""
    client.submit(frames=16)  # type: ignore[attr-defined]
    client.expect(Progress, lambda message: message.phase == "painting")  # type: ignore[attr-defined]
    (worker,) = backend.family
    return worker


def test_it_is_ready_within_a_second_of_work() -> None:
    """Counted in its own processor time, for other work may run on this machine."""
    with running() as backend:
        spent = psutil.Process(backend.process.pid).cpu_times()
        assert spent.user + spent.system < 1.0


def test_the_server_never_imports_torch() -> None:
    code = (
        "import sys, threading; from backend.server import server; from backend.__main__ import main;"
        "real = server.Server._close;"
        "server.Server._close = lambda self: (real(self), print(*sys.modules, file=sys.stderr));"
        "sys.exit(main(['serve', '--fake', '--grace', '0']))"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split())
    assert "elevator.plan" in loaded
    assert "zmq" in loaded
    assert not {"torch", "diffusers", "transformers", "cv2", "numpy", "bpy"} & loaded


def test_status_and_jobs_leave_torch_out_of_the_servers_process(backend: Running) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux shows which libraries a process has")
    with backend.client() as client:
        client.end_of(client.submit())
        client.status()
    libraries = {Path(area.path).name for area in psutil.Process(backend.process.pid).memory_maps()}
    assert not [name for name in libraries if name.startswith("libtorch")]


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_in_order(name: str) -> None:
    with running(step_seconds=0.2) as backend, backend.client() as client:
        worker = busy(backend, client)
        began = time.monotonic()
        backend.process.send_signal(getattr(signal, name))
        client.expect(Goodbye)
        assert backend.process.wait(10) == 0
        assert time.monotonic() - began < 10.0
        assert not places.connection_file().exists()
        assert not worker.is_running()
        client.expect(Lost)


def test_shutdown_ends_it_in_order() -> None:
    with running(step_seconds=0.2) as backend, backend.client() as client:
        worker = busy(backend, client)
        client.client.send(Shutdown())
        client.expect(Goodbye)
        assert backend.process.wait(10) == 0
        assert not places.connection_file().exists()
        assert not worker.is_running()


def test_what_is_unfinished_at_the_end_is_made_after_the_next_start() -> None:
    with running(step_seconds=0.2) as backend, backend.client(client_id="7" * 32) as client:
        busy(backend, client)
        waiting = client.submit(frames=2)
        client.expect(Accepted, lambda accepted: accepted.job == waiting)
        client.client.send(Shutdown())
        client.expect(Goodbye)
        assert backend.process.wait(10) == 0
    with running() as backend, backend.client(client_id="7" * 32) as client:
        jobs = client.expect(Jobs).jobs
        assert [view.job for view in jobs][1] == waiting
        assert not [view for view in jobs if view.state in ("done", "failed", "cancelled")]
        assert isinstance(client.end_of(waiting), Done)
        assert [type(message) for message, _ in client.heard if isinstance(message, ENDS)] == [Done, Done]


def test_a_killed_backend_is_noticed_and_its_worker_ends() -> None:
    """SIGKILL, while sampling: the backend can say nothing any more."""
    with running(step_seconds=30.0) as backend, backend.client() as client:
        client.submit(frames=16)
        client.expect(Progress, lambda message: message.phase == "text")
        (worker,) = backend.family
        began = time.monotonic()
        backend.process.kill()
        client.expect(Lost)
        assert time.monotonic() - began < 5.0
        assert until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 3.0)
    with running() as backend, backend.client() as client:
        greet(client)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_a_worker_that_can_look_at_nothing_ends_with_its_backend_too() -> None:
    """As one does that sits in a library's long call, or is frozen."""
    with running(step_seconds=30.0) as backend, backend.client() as client:
        client.submit(frames=16)
        client.expect(Progress, lambda message: message.phase == "text")
        (worker,) = backend.family
        worker.send_signal(signal.SIGSTOP)
        backend.process.kill()
        try:
            assert gone(worker, 10.0)
        finally:
            with suppress(psutil.NoSuchProcess):
                worker.kill()


@posix
def test_ctrl_c_in_the_terminal_is_the_backends_alone() -> None:
    """A terminal sends it to the workers, too."""
    with running(step_seconds=0.05) as backend, backend.client() as client:
        job = client.submit()
        client.expect(Progress, lambda message: message.phase == "painting")
        (worker,) = backend.family
        worker.send_signal(signal.SIGINT)
        assert isinstance(client.end_of(job), Done)
        assert not [message for message, _ in client.of(job) if isinstance(message, Notice)]
        assert pid_of(client.status()) == worker.pid


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a score")
def test_a_machine_without_memory_ends_the_worker_first(backend: Running) -> None:
    with backend.client() as client:
        client.end_of(client.submit())
        pids = (pid_of(client.status()), backend.process.pid)
    worker, server = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in pids)
    assert worker > server


@posix
def test_the_end_of_the_pipe_alone_ends_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems without a signal at the parent's death there is nothing else."""
    import subprocess

    import msgspec

    from backend.orders import WorkerKeys
    from backend.server.keys import KeyPair

    keys = KeyPair.fresh()
    order = WorkerKeys(
        endpoint="tcp://127.0.0.1:9",
        server_key=keys.public,
        public=keys.public,
        secret=keys.secret,
        fake=True,
        device="cpu",
    )
    with subprocess.Popen([sys.executable, "-m", "backend.worker.process"], stdin=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        worker.stdin.write(msgspec.json.encode(order) + b"\n")
        worker.stdin.flush()
        assert until(lambda: len(psutil.Process(worker.pid).threads()) > 1)
        assert worker.poll() is None
        worker.stdin.close()
        assert worker.wait(3.0) == 0


@posix
def test_a_stuck_backend_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "SILENCE_SECONDS", 3.0)
    with running() as backend, backend.client() as client:
        greet(client)
        os.kill(backend.process.pid, signal.SIGSTOP)
        try:
            lost = client.expect(Lost)
        finally:
            os.kill(backend.process.pid, signal.SIGCONT)
        assert "stuck" in lost.reason


def test_a_healthy_backend_is_not_taken_for_a_stuck_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "SILENCE_SECONDS", 4.0)
    with running() as backend, backend.client() as client:
        greet(client)
        deadline = time.monotonic() + 6.0
        while time.monotonic() < deadline:
            client.client.wait(0.5)
            assert not list(client.client.poll())
        assert client.client.lost is None


def test_a_second_backend_steps_back(backend: Running) -> None:
    second = run("serve", "--fake")
    assert second.returncode == 0
    assert second.stdout.startswith("A backend runs already")
    assert str(backend.process.pid) in second.stdout
    assert not second.stderr
    assert connection.read(places.connection_file()).pid == backend.process.pid
    with backend.client() as client:
        client.end_of(client.submit())


def test_a_dead_backends_file_is_replaced() -> None:
    with running() as backend:
        backend.process.kill()
        backend.process.wait()
        assert places.connection_file().exists()
    with running() as backend, backend.client() as client:
        greet(client)


def test_without_clients_it_ends_after_the_grace() -> None:
    with running("--grace", "0.5") as backend:
        with backend.client() as client:
            greet(client)
            worker_of = client.end_of(client.submit())
            assert worker_of
            family = backend.family
            assert backend.process.poll() is None
        assert backend.process.wait(20) == 0
        assert not psutil.wait_procs(family, timeout=5)[1]
        assert not places.connection_file().exists()


def test_with_a_client_it_stays() -> None:
    with running("--grace", "0") as backend, backend.client() as client:
        greet(client)
        for _ in range(3):
            client.end_of(client.submit())
        assert backend.process.poll() is None


def test_told_to_stay_it_stays() -> None:
    with running("--grace", "0", "--stay") as backend:
        for _ in range(2):
            with backend.client() as client:
                greet(client)
                client.status()
        with backend.client() as client:
            assert client.status().clients == 1 or until(lambda: client.status().clients == 1)
        assert backend.process.poll() is None


@posix
def test_its_files_are_its_owners_alone(backend: Running) -> None:
    with backend.client() as client:
        client.end_of(client.submit())
    for path in places.state_folder().iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_logs_hold_neither_prompts_nor_keys(backend: Running) -> None:
    with backend.client() as client:
        client.end_of(client.submit("zanzibar fail:internal"))
        client.end_of(client.submit("zanzibar", negative_prompt="timbuktu"))
    secret = backend.connection.client_secret
    public = backend.connection.client_public
    for path in places.state_folder().glob("*.log*"):
        text = path.read_text(encoding="utf-8")
        for word in ("zanzibar", "timbuktu", secret, public, backend.connection.server_key):
            assert word not in text, path.name


def test_a_home_that_cannot_be_made_is_one_sentence(home: Path) -> None:
    home.write_text("a file where a folder should be", encoding="utf-8")
    failed = run("serve", "--fake")
    assert failed.returncode == 5
    assert len(failed.stderr.splitlines()) == 1
    assert "cannot be written" in failed.stderr


def test_a_backend_can_be_started_in_the_background() -> None:
    found = start_backend(fake=True, device="auto", grace=0.0)
    assert found == connection.read(places.connection_file())
    assert until(lambda: not is_running(found.pid, found.started))
