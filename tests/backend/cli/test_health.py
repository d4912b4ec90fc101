"""`status --json`: one line for monitoring, whose values are true, and exit codes that say whether all is well."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from backend.cli import health
from backend.cli.health import Health, read_results
from backend.client.api import connect
from backend.failures import EXIT_DONE, EXIT_NO_BACKEND, EXIT_TO_CHANGE
from shared_protocol import VERSION
from tests.backend.commands import Call, caller
from tests.backend.harness import Running, greet, run, running, until
from tests.security.guests import guest, key_file, list_key


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    before = signal.getsignal(signal.SIGTERM)
    yield caller(capsys)
    signal.signal(signal.SIGTERM, before)


def test_one_line_says_how_it_is(backend: Running, home: Path, call: Call) -> None:
    done = call("status", "--json")
    (line,) = done.lines
    assert done.code == EXIT_DONE
    assert set(line) == {"type", *Health.__struct_fields__}
    process = psutil.Process(backend.process.pid)
    assert line["type"] == "Health"
    assert line["healthy"]
    assert (line["version"], line["pid"], line["session"]) == (VERSION, process.pid, backend.connection.session)
    assert abs(line["uptime"] - (time.time() - process.create_time())) < 60
    assert abs(line["free_bytes"] - shutil.disk_usage(home).free) < 10**9
    assert (line["waiting"], line["running"], line["paused"], line["stopped"]) == (0, 0, False, "")
    assert (line["results"], line["results_bytes"], line["last_failure"]) == (0, 0, None)
    assert line["workers"] == [{"device": "auto", "pid": 0, "busy": False}]
    for unknown in ("read_results", "_free"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(health, unknown, lambda _: None)
            done = call("status")
        assert (done.code, " are free there" in done.out) == (EXIT_DONE, False)
    assert " are free there" in call("status").out


def test_what_was_made_and_what_failed_is_told(backend: Running, home: Path, call: Call) -> None:
    with connect() as connected:
        for prompt in ("a fox", "a cat"):
            connected.submit(prompt, frames=2).wait()
        failed = connected.submit("fail:model_missing", frames=2)
        for _ in failed.events():
            pass
        slow = connected.submit("slow:1", frames=4)
        assert until(lambda: connected.status().queue.running == 1, 60)
        (line,) = call("status", "--json").lines
        (worker,) = line["workers"]
        slow.cancel()
    assert (worker["busy"], line["running"]) == (True, 1)
    assert worker["pid"] in [child.pid for child in backend.family]
    assert line["results"] == 2
    made = [path for path in (home / "data" / "results").rglob("*") if path.is_file()]
    assert line["results_bytes"] == sum(path.stat().st_size for path in made)
    assert (line["last_failure"]["job"], line["last_failure"]["code"]) == (failed.id, "model_missing")
    assert abs(line["last_failure"]["submitted"] - time.time()) < 600
    shown = call("status").out
    assert "2 results have " in shown
    assert f"The last job that failed is {failed.id}: " in shown


def test_a_queue_that_has_stopped_is_not_healthy_and_a_paused_one_is(backend: Running, call: Call) -> None:
    call("pause")
    done = call("status", "--json")
    assert (done.code, done.lines[0]["healthy"], done.lines[0]["paused"]) == (EXIT_DONE, True, True)
    call("resume")
    with connect() as connected:
        connected.submit("fail:disk_full", frames=2)
        assert until(lambda: bool(connected.status().queue.stopped), 60)
    done = call("status", "--json")
    (line,) = done.lines
    assert (done.code, line["healthy"], line["waiting"]) == (EXIT_TO_CHANGE, False, 1)
    assert line["stopped"].startswith("The disk is full.")
    assert call("status").code == EXIT_TO_CHANGE


def test_no_backend_is_one_line_too(home: Path, call: Call) -> None:
    done = call("status", "--json")
    (line,) = done.lines
    assert (done.code, line["type"], line["code"]) == (EXIT_NO_BACKEND, "Error", "no_backend")


def test_of_another_machine_is_told_what_it_says_itself(home: Path, call: Call) -> None:
    assert run("key", "studio").returncode == 0
    listed = key_file("studio")
    listed.parent.mkdir(mode=0o700)
    shutil.copy(home / "config" / "keys" / "studio.pub", listed)
    with running("--bind", "127.0.0.1:0") as backend:
        endpoint = ["--endpoint", backend.connection.endpoint]
        server = ["--server-key", str(home / "config" / "keys" / "server.pub")]
        assert run("profile", "studio", *endpoint, *server).returncode == 0
        with backend.client() as client:
            greet(client)
            client.end_of(client.submit())
            (line,) = call("status", "--json", "--profile", "studio").lines
    assert line["healthy"]
    for unknown in ("pid", "uptime", "free_bytes", "results", "results_bytes", "last_failure"):
        assert line[unknown] is None


def test_what_cannot_be_found_out_is_left_out(backend: Running, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(pid: int) -> None:
        raise psutil.NoSuchProcess(pid)

    def refuse(folder: Path) -> None:
        raise PermissionError("no")

    monkeypatch.setattr("backend.cli.health.psutil.Process", gone)
    monkeypatch.setattr("backend.cli.health.shutil.disk_usage", refuse)
    done = call("status", "--json")
    assert (done.code, done.lines[0]["uptime"], done.lines[0]["free_bytes"]) == (EXIT_DONE, None, None)
    assert "It has run for" not in call("status").out


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_a_database_that_cannot_be_read_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "queue.db").write_bytes(content)
    assert read_results(tmp_path / "queue.db") is None
    with closing(sqlite3.connect(tmp_path / "other.db")) as base:
        base.execute("CREATE TABLE jobs (x)")
    assert read_results(tmp_path / "other.db") is None


def test_a_worker_with_another_keys_job_is_busy_too(backend: Running, call: Call) -> None:
    pair = list_key("other")
    with guest(backend.connection, pair) as other:
        greet(other)
        other.submit("slow:1")
        assert until(lambda: call("status", "--json").lines[0]["running"] == 1, 60)
        (worker,) = call("status", "--json").lines[0]["workers"]
    assert worker["busy"]
