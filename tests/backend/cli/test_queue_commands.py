"""Commands about queue and results, and JSON lines, against a real backend; each command runs in this process."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import pytest

from backend.client import profiles
from backend.client.api import Backend, connect
from backend.client.failures import ClientFailure
from elevator.pictures.clip_folder import frames_in
from shared_protocol import connection
from shared_protocol.machine.launcher import launcher
from tests.backend.commands import Call, caller
from tests.backend.harness import ROOT, Running, command, pid_of, running, until
from tests.unread import unread


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Runs one command of the backend."""
    before = signal.getsignal(signal.SIGTERM)
    yield caller(capsys)
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def paused(backend: Running) -> Iterator[Backend]:
    """A backend that starts no job."""
    with connect() as connected:
        connected.pause()
        yield connected


def test_a_reader_that_has_enough_gets_no_traceback(backend: Running) -> None:
    done = unread(command("results"), ROOT)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_queue_shows_places_and_changes_them(paused: Backend, call: Call) -> None:
    jobs = [paused.submit(f"prompt {number}", frames=4, style="sketch").id for number in range(3)]
    shown = call("queue")
    assert shown.code == 0
    assert "paused" in shown.out
    rows = [line.split() for line in shown.out.splitlines() if "prompt " in line and "place" not in line]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        (str(place), "queued", job[:8]) for place, job in enumerate(jobs, 1)
    ]
    assert all("sketch" in row for row in rows)

    def order() -> list[str]:
        return [line["job"] for line in call("queue", "--json").lines[1:]]

    assert order() == jobs
    assert call("queue", "--front", jobs[2][:8]).code == 0
    assert order() == [jobs[2], jobs[0], jobs[1]]
    assert call("queue", "--move", jobs[2], "2").code == 0
    assert order() == [jobs[0], jobs[2], jobs[1]]
    head, first, *_ = call("queue", "--json").lines
    assert (head["type"], head["queue"]["paused"], head["others"]) == ("Queue", True, 0)
    assert (first["type"], first["state"], first["position"], first["prompt"]) == ("Job", "queued", 0, "prompt 0")
    for place in ("0", "x", "-1", "10000001"):
        assert call("queue", "--move", jobs[0], place).code == 2
    assert call("queue", "--move", jobs[0], "10000000").code == 0
    for arguments in (("--front", "0" * 32), ("--front", "beef"), ("--move", "abc", "1")):
        failed = call("queue", *arguments)
        assert (failed.code, len(failed.err.splitlines())) == (1, 1)
    assert "state" not in call("cancel", *jobs).err
    assert call("queue").out.splitlines()[-1] == "Nothing waits or runs."


def test_cancel_says_whether_there_was_something_to_cancel(paused: Backend, call: Call) -> None:
    job = paused.submit("a fox", frames=4)
    cancelled = call("cancel", job.id[:10])
    assert (cancelled.code, cancelled.out) == (0, f"Job {job.id[:8]} is cancelled.\n")
    again = call("cancel", job.id[:10])
    assert (again.code, again.out) == (0, f"Job {job.id[:8]} is cancelled.\n")
    assert call("cancel", job.id, "--json").lines == [{"type": "Cancelled", "job": job.id}]
    assert call("cancel", "0000").code == 1


def test_results_are_listed_fetched_and_deleted(backend: Running, call: Call, tmp_path: Path) -> None:
    assert "No job" in call("results").out
    with connect() as connected:
        job = connected.submit("a fox\nin two lines " + "long " * 20, frames=3)
        failed = connected.submit("fail:out_of_memory", frames=3)
        done = job.wait()
        assert list(failed.events())
    shown = call("results").out
    assert done.folder in shown
    assert "a fox in two lines long" in shown
    assert "…" in shown
    assert "The memory of the device was not enough" in shown
    assert call("results", job.id[:8], "--json").lines[0]["has_result"]
    out = tmp_path / "out"
    assert call("results", job.id[:8], "--out", out).code == 0
    assert len(frames_in(out)) == 3
    assert call("results", job.id[:8], "--out", out).code == 5
    assert call("results", job.id[:8], "--out", out, "--overwrite", "--json").lines[-1]["type"] == "Saved"
    views = {line["job"]: line for line in call("results", "--json").lines}
    assert views[job.id]["received"]
    assert call("results", "--forget", job.id[:8]).code == 0
    gone = call("results", job.id[:8], "--out", tmp_path / "other")
    assert gone.code == 1
    assert not frames_in(tmp_path / "other")
    assert call("results", failed.id[:8], "--out", tmp_path / "other").code == 4
    assert call("results", "--out", out).code == 2


def test_jobs_of_others_are_counted(paused: Backend, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Backend.jobs
    monkeypatch.setattr(
        Backend, "jobs", lambda backend, ended=0: msgspec.structs.replace(real(backend, ended), others=2)
    )
    assert call("queue").out.splitlines() == [
        f'The queue is paused; "{launcher()} resume" goes on.',
        "2 jobs of other users.",
    ]
    assert call("queue", "--json").lines[0]["others"] == 2
    paused.submit("a fox", frames=4)
    assert call("queue").out.splitlines()[-1] == "2 jobs of other users."


def test_a_backend_that_is_lost_while_a_rate_is_changed_keeps_the_job(
    backend: Running, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect() as connected:
        job = connected.submit("a fox", frames=2)
        job.wait()

    def lose(watcher: object, job: object) -> None:
        raise ClientFailure("not_reached", detail="as the test asked")

    monkeypatch.setattr("backend.cli.queueing.Watcher.follow", lose)
    done = call("conform", job.id, "--fps", "4", "--out", tmp_path / "out", "--json")
    assert (done.code, done.lines[-1]["code"]) == (3, "backend_lost")
    assert "results" in done.lines[-1]["next_step"]


def test_a_cancelled_job_is_listed_without_a_place(paused: Backend, call: Call) -> None:
    job = paused.submit("a fox", frames=4)
    paused.cancel(job.id)
    head, row = call("results").out.splitlines()
    assert head.split() == ["job", "submitted", "state", "frames", "size", "bytes", "taken", "prompt"]
    assert row.split()[0] == job.id[:8]
    assert row.endswith("fox")
    assert "cancelled" in row


def test_pause_resume_and_free_say_what_is_so(backend: Running, call: Call) -> None:
    assert "paused" in call("pause").out
    assert call("pause", "--json").lines[0]["queue"]["paused"]
    assert "paused" in call("status").out
    assert "goes on" in call("resume").out
    with connect() as connected:
        connected.submit("a fox", frames=2).wait()
        assert pid_of(connected.status())
        assert "free" in call("free").out
        assert until(lambda: not pid_of(connected.status()))
    lines = call("status", "--json", "--styles").lines
    assert lines[0]["type"] == "Health"
    assert {line["type"] for line in lines[1:]} == {"Style"}
    assert {line["name"] for line in lines[1:]} >= {"plain", "sketch"}


def test_a_detached_job_is_waited_for_later(paused: Backend, call: Call, tmp_path: Path) -> None:
    detached = call("generate", "a fox", "--frames", "2", "--detach")
    assert detached.code == 0
    job = detached.out.strip()
    accepted = call("generate", "a cat", "--frames", "2", "--detach", "--json").lines
    assert [line["type"] for line in accepted] == ["Accepted"]
    assert {view.job for view in paused.jobs().jobs} == {job, accepted[0]["job"]}
    resuming = threading.Timer(0.5, paused.resume)
    resuming.start()
    fetched = call("results", job, "--out", tmp_path / "out")
    resuming.join()
    assert fetched.code == 0
    assert "paused" in fetched.err
    assert len(frames_in(tmp_path / "out")) == 2
    assert call("generate", "a fox", "--detach", "--fps", "24").code == 2


def test_a_paused_queue_is_said_and_the_place_in_it(paused: Backend, tmp_path: Path) -> None:
    paused.submit("first", frames=2)
    arguments = command("generate", "second", "--frames", "2", "--out", str(tmp_path / "out"))
    with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "paused" in process.stderr.readline()
        assert "behind 1 job" in process.stderr.readline()
        paused.resume()
        process.stderr.read()
    assert process.returncode == 0


def test_who_wants_test_pictures_is_told_of_a_backend_with_models(call: Call, home: Path) -> None:
    with running("--device", "cpu", fake=False), connect() as connected:
        connected.pause()
        done = call("generate", "a fox", "--fake", "--frames", "2", "--detach")
        assert done.code == 0
        assert done.err.splitlines()[0] == "A backend with models runs already, so it makes the clip."
        assert "paused" in done.err.splitlines()[1]


def test_a_pause_while_a_clip_is_waited_for_is_said(home: Path, call: Call, tmp_path: Path) -> None:
    with running(step_seconds=0.1), connect() as connected:
        pausing = threading.Timer(0.5, connected.pause)
        pausing.start()
        done = call("generate", "a fox", "--frames", "2", "--out", tmp_path / "out", "--quiet")
        pausing.join()
    assert done.code == 0
    assert [line.partition(";")[0] for line in done.err.splitlines()] == ["The queue is paused"]


def test_settings_footage_and_another_rate_reach_the_clip(backend: Running, call: Call, tmp_path: Path) -> None:
    shots = tmp_path / "shots"
    assert call("generate", "a fox", "--frames", "4", "--seed", "1", "--out", shots).code == 0
    options: list[str | Path] = [
        "--preset",
        "fast",
        "--set",
        "guidance=7",
        "--set",
        "lowpass.method=none",
        "--strength",
        "0.5",
    ]
    options += ["--footage", shots, "--anchor", shots / "frame_0001.png", "--fps", "30000/1001", "--method", "flow"]
    made = call("generate", "a cat", *options, "--out", tmp_path / "out", "--json")
    assert made.code == 0, made.err
    *events, saved = made.lines
    assert saved["type"] == "Saved"
    assert saved["frames"] == len(frames_in(tmp_path / "out")) == 15
    assert saved["fps"] == pytest.approx(30000 / 1001)
    clip, conformed = (line["job"] for line in events if line["type"] == "Accepted")
    assert saved["job"] == conformed
    assert sum(line["type"] == "Done" for line in events) == 2
    with connect() as connected:
        assert {view.job: view.received for view in connected.jobs(2).jobs} == {clip: True, conformed: True}
        assert connected.find(clip).frames == 4
    again = call("conform", clip[:8], "--fps", "4", "--out", tmp_path / "less", "--quiet")
    assert again.code == 0
    assert len(frames_in(tmp_path / "less")) == 2
    assert call("conform", clip[:8], "--fps", "4", "--detach").code == 0
    assert call("conform", clip[:8], "--fps", "4").code == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--preset", "nouveau"), "preset"),
        (("--set", "stops=1"), "stops"),
        (("--set", "steps=0"), "steps"),
        (("--lora", "absent.safetensors:0.5"), "absent.safetensors"),
        (("--footage", "absent.png"), "absent.png"),
        (("--strength", "0.5"), "strength"),
    ],
)
def test_what_cannot_be_used_is_said(
    backend: Running, call: Call, tmp_path: Path, options: list[str], says: str
) -> None:
    failed = call("generate", "a fox", "--frames", "2", "--out", tmp_path / "out", "--quiet", *options)
    assert failed.code == 1
    assert says in failed.err
    assert len(failed.err.splitlines()) == 1


def test_errors_are_json_lines_too(backend: Running, call: Call, tmp_path: Path) -> None:
    failed = call("generate", "fail:out_of_memory", "--frames", "2", "--out", tmp_path / "out", "--json", "--quiet")
    assert failed.code == 4
    assert [line["type"] for line in failed.lines] == ["Accepted", "Failed", "Error"]
    error = failed.lines[-1]
    assert (error["code"], error["exit_code"]) == ("out_of_memory", 4)
    assert f"{error['message']} {error['next_step']}\n" == failed.err


def test_an_interrupt_cancels_the_job_alone(home: Path, tmp_path: Path) -> None:
    if os.name != "posix":
        pytest.skip("signals are POSIX")
    with running(step_seconds=0.1), connect() as connected:
        arguments = command("generate", "a fox", "--out", str(tmp_path / "out"))
        with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any("painting" in line for line in process.stderr)
            other = connected.submit("another", frames=2)
            process.send_signal(signal.SIGINT)
            assert "Interrupted." in process.stderr.read()
        assert process.returncode == 130
        assert until(lambda: not any(view.prompt == "a fox" for view in connected.jobs().jobs))
        assert other.wait().frames == 2
        assert not frames_in(tmp_path / "out")


def test_a_lost_backend_leaves_the_job_in_its_queue(home: Path, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with running(step_seconds=0.3) as backend:
        arguments = command("generate", "a fox", "--frames", "2", "--out", str(out))
        with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any("painting" in line for line in process.stderr)
            backend.process.kill()
            said = process.stderr.read().splitlines()[-1]
        assert process.returncode == 3
        assert "safe in its queue" in said
        job = said.partition("results ")[2].partition(" ")[0]
    with running():
        assert call("results", job, "--out", out).code == 0
    assert len(frames_in(out)) == 2
    assert cv2.imread(str(frames_in(out)[0])) is not None


def test_a_backend_that_generate_has_started_finishes_detached_jobs(call: Call, home: Path, tmp_path: Path) -> None:
    """Although its grace is over long before."""
    options = ["--fake", "--grace", "0.1", "--frames", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELEVATOR_FAKE_STEP_SECONDS", "0.1")
        job = call("generate", "a fox", "--detach", *options).out.strip()
    assert (home / "state" / "connection.json").exists()
    assert until(lambda: not (home / "state" / "connection.json").exists())
    with running():
        assert call("results", job, "--out", tmp_path / "out").code == 0


def test_a_profile_is_taken_by_its_name(
    backend: Running, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELEVATOR_HOME", str(tmp_path / "another machine"))
    profile = profiles.profile_file("studio")
    connection.write(profile, msgspec.structs.replace(backend.connection, pid=0, started=None))
    assert call("status").code == 3
    assert call("queue", "--profile", "studio").code == 0
    failed = call("queue", "--profile", "absent")
    assert failed.code == 1
    assert "absent" in failed.err


def test_a_clip_without_out_goes_where_the_other_command_line_would_put_it(
    backend: Running, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("generate", "A fox, on (grass)!", "--frames", "2", "--seed", "3", "--quiet").code == 0
    assert len(frames_in(tmp_path / "out" / "a-fox-on-grass-3")) == 2
    (tmp_path / "my shots.csv").write_text("prompt,frames\na fox,1\n")
    assert call("generate", "--from", tmp_path / "my shots.csv", "--seed", "3", "--quiet").code == 0
    assert len(frames_in(tmp_path / "out" / "my-shots" / "0001")) == 1
