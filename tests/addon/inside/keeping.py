"""The backend comes and goes, and the clip arrives all the same. Backends are killed for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
from harness import (
    FIGURES,
    HOME,
    INSTALL_FILE,
    MODULE,
    SLOW,
    addon_utils,
    all_strips,
    backend_pid,
    generate,
    kill_backend,
    largest,
    open_project,
    part,
    press_generate,
    pump,
    refuse,
    tick_until,
    ticks,
    until,
)

FRAMES = 20
"""More than are fetched at once."""


def _painting(prompt: str = "a fox", **more: Any) -> Any:
    """A job that is being made."""
    job = press_generate(f"{prompt} {SLOW}", frames=FRAMES, **more)
    tick_until(lambda: job.phase == "painting")
    return job


def _frames(folder: str | Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(Path(folder).glob("frame_*.png"))]


def _result(job: str) -> Path:
    return HOME / "data" / "results" / job


@contextmanager
def _other_client(client_id: str = "") -> Iterator[Any]:
    """Another client of the same backend."""
    found = part("shared_protocol.connection").read(part("shared_protocol.machine.places").connection_file())
    with part("shared_protocol.client").Client(found, name="another", client_id=client_id) as client:
        yield client


def _ask(client: Any, request: Any, kind: type) -> Any:
    """Send a request, and wait for an answer of this kind."""
    client.send(request)
    deadline = time.monotonic() + 20
    while True:
        assert time.monotonic() < deadline
        client.wait(0.1)
        for message, _ in client.poll():
            if isinstance(message, kind):
                return message


def _is_received(job: str) -> bool:
    """Whether the backend takes the job for done with."""
    messages = part("shared_protocol.messages")
    with _other_client() as client:
        views = _ask(client, messages.AskJobs(ended=100), messages.Jobs).jobs
    (view,) = [view for view in views if view.job == job]
    return view.state in ("done", "failed", "cancelled") and view.received


def check_killed_backend_gives_the_clip_all_the_same() -> None:
    open_project("killed")
    undisturbed = generate(f"a fox {SLOW}", frames=FRAMES, width=64, height=64, seed=7)
    wanted = _frames(bpy.path.abspath(undisturbed.directory))
    job = _painting(width=64, height=64, seed=7)
    pid = backend_pid()
    begin = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    tick_until(lambda: job.state.name == "REATTACHING")
    FIGURES["seconds until a killed backend was noticed"] = time.monotonic() - begin
    tick_until(lambda: job.state.name == "RUNNING")
    FIGURES["seconds until the next one knew the job"] = time.monotonic() - begin
    assert backend_pid() != pid
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job
    assert job.losses == 1
    assert len(all_strips()) == 2
    assert _frames(job.folder) == wanted, "each pixel is that of a clip that nobody disturbed"
    until(lambda: _is_received(job.id))


def check_clip_that_was_finished_meanwhile_is_fetched() -> None:
    clean_environment = part("shared_protocol.starting").clean_environment
    open_project("meanwhile")
    told = json.loads(INSTALL_FILE.read_text(encoding="utf-8"))
    job = _painting(seed=8)
    kill_backend()
    # Blender is busy, and somebody else starts a backend, which makes the clip.
    command = [told["python"], "-m", "backend", "serve", "--fake", "--grace", "20"]
    with subprocess.Popen(command, cwd=told["root"], env=clean_environment(os.environ)) as other:
        try:
            until((_result(job.id) / "result.json").exists)
            assert not job.ended
            with ticks() as seen:
                tick_until(lambda: job.ended)
            assert job.state.name == "DONE", job
            assert backend_pid() == other.pid
            FIGURES["largest tick of fetching"] = largest(seen)
        finally:
            other.kill()
    assert _frames(job.folder) == _frames(_result(job.id))
    assert len(_frames(job.folder)) == FRAMES


def check_all_jobs_come_back_in_their_order() -> None:
    open_project("several")
    first = _painting(seed=1)
    second = press_generate("a hare", frames=2)
    tick_until(lambda: second.state.name == "RUNNING")
    assert pump().session.status(second).line.startswith("Waiting for its turn, 1 before it")
    kill_backend()
    tick_until(lambda: first.ended and second.ended)
    assert (first.state.name, second.state.name) == ("DONE", "DONE")
    assert {strip.name for strip in all_strips()} == {f"a fox {SLOW}", "a hare"}


def check_scripts_go_on_as_well() -> None:
    open_project("script")
    killed: list[Any] = []

    def kill(status: Any) -> None:
        if status.phase == "painting" and not killed:
            killed.append(backend_pid())
            os.kill(killed[0], signal.SIGKILL)

    pump().on_status = kill
    try:
        generate(f"a fox {SLOW}", frames=2)
    finally:
        pump().on_status = None
    assert killed


def check_backend_that_always_dies_is_given_up() -> None:
    open_project("hopeless")
    job = _painting()
    for losses in range(1, 4):
        kill_backend()
        tick_until(lambda count=losses: job.losses == count)
        tick_until(lambda: job.ended or (job.state.name == "RUNNING" and job.phase == "painting"))
    assert job.state.name == "FAILED"
    assert "lost 3 times" in job.problem.sentence
    assert "stays in the backend's queue" in job.problem.next_step
    assert not pump().session.busy
    generate("a hare", frames=1)  # what waited there is made first, and is left to the backend
    assert len(all_strips()) == 2
    assert (_result(job.id) / "result.json").exists()
    assert not _is_received(job.id)


def check_lost_queue_is_said() -> None:
    open_project("queue")
    job = _painting()
    kill_backend()
    for file in (HOME / "data").glob("queue.db*"):
        file.unlink()
    tick_until(lambda: job.ended)
    assert job.problem.sentence == "The backend does not know this clip any more.", job


def check_stopped_backend_goes_on_at_its_next_start() -> None:
    open_project("stopped")
    job = _painting()
    assert bpy.ops.elevator.stop_backend() == {"FINISHED"}
    tick_until(lambda: pump().session.link.name == "NONE")
    assert pump().tick() == part("machine.pump").REST, "it looks now and then for one that somebody starts"
    assert pump().session.status(job).line.startswith("No backend runs.")
    bpy.ops.elevator.start_backend()
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job
    assert len(all_strips()) == 1


def check_stopped_backend_ends_scripts() -> None:
    messages = part("shared_protocol.messages")
    open_project("stopped script")

    stopped: list[Any] = []

    def stop(status: Any) -> None:
        if status.phase == "painting" and not stopped:  # it is told more than once
            with _other_client() as client:
                stopped.append(_ask(client, messages.Shutdown(), messages.Goodbye))

    pump().on_status = stop
    try:
        said = refuse(prompt=f"a fox {SLOW}", frames=2)
    finally:
        pump().on_status = None
    assert said.startswith("The backend was stopped. The clip stays in the backend's queue"), said


def check_job_outlives_its_blender() -> None:
    open_project("left")
    job = _painting()
    pid, client_id = backend_pid(), pump()._client_id.value
    addon_utils.disable(MODULE)
    until((_result(job.id) / "result.json").exists)
    addon_utils.enable(MODULE, default_set=True)
    assert pump()._client_id.value == client_id
    generate("a hare", frames=1)
    assert backend_pid() == pid
    for _ in range(20):
        pump().tick()
        time.sleep(0.01)
    tick_until(lambda: all(strip.elements[0].filename == "frame_0001.png" for strip in all_strips()))
    assert sorted(strip.name for strip in all_strips()) == [f"a fox {SLOW}", "a hare"], "its strip has told what it is"
    until(lambda: _is_received(job.id))


def check_two_blenders_do_not_disturb_each_other() -> None:
    """If two should have one name after all, what comes for the other is ignored."""
    messages = part("shared_protocol.messages")
    open_project("both")
    generate("a fox", frames=1)
    theirs = part("shared_protocol.client").new_job_id()
    request = messages.Generate(job=theirs, prompt="a hare", style="plain", frames=FRAMES, width=64, height=64, seed=1)
    with _other_client(pump()._client_id.value) as other:
        _ask(other, request, messages.Done)
    ours = press_generate("a cat", frames=2)
    tick_until(lambda: ours.ended)
    assert theirs not in pump().session.jobs
    assert {strip.name for strip in all_strips()} == {"a fox", "a cat"}
    assert not _is_received(theirs)


def check_paused_queue_is_said_and_resumed() -> None:
    messages = part("shared_protocol.messages")
    open_project("paused")
    generate("a fox", frames=1)
    with _other_client() as client:
        _ask(client, messages.Pause(), messages.Queue)
    job = press_generate("a hare", frames=2)
    tick_until(lambda: pump().session.status(job).line == "The queue is paused")
    assert bpy.ops.elevator.resume_queue() == {"FINISHED"}
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job


def check_full_disk_of_the_backend_stops_the_queue_and_loses_nothing() -> None:
    open_project("full disk")
    job = press_generate("a fox fail:disk_full", frames=2)
    tick_until(lambda: bool(pump().session.backend.queue.stopped))
    tick_until(lambda: pump().session.status(job).line.startswith("The disk is full"))
    assert job.state.name == "RUNNING"
    assert job.step == 0
    waiting = press_generate("a hare", frames=2)
    tick_until(lambda: waiting.state.name == "RUNNING")
    assert bpy.ops.elevator.cancel(job=job.id) == {"FINISHED"}
    tick_until(lambda: job.ended)
    assert job.state.name == "CANCELLED"
    assert bpy.ops.elevator.resume_queue() == {"FINISHED"}
    tick_until(lambda: waiting.ended)
    assert waiting.state.name == "DONE", waiting


def check_retry_is_said() -> None:
    open_project("retry")
    job = press_generate("a fox fail:crash-once", frames=2)
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job
    assert any("begun anew" in warning for warning in job.warnings), job.warnings
