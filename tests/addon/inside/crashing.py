"""Blender dies while a clip is made, and another one starts. Each check runs in a Blender of its own."""

from __future__ import annotations

import os
import signal
import time

import bpy
from harness import HOME, MODULE, PROFILE, all_strips, generate, job_of, lay, open_project, pump, tick_until


def check_blender_dies() -> None:
    os.environ["ELEVATOR_FAKE_STEP_SECONDS"] = "0.05"
    path = open_project("dies")
    job = job_of(lay("a fox", frames=4))
    tick_until(lambda: job.phase == "painting")
    bpy.ops.wm.save_mainfile()
    (HOME / "died.txt").write_text(f"{job.id} {pump()._client_id.value} {path}", encoding="utf-8")
    os.kill(os.getpid(), signal.SIGKILL)


def check_next_blender_takes_it_up() -> None:
    _, client_id, path = (HOME / "died.txt").read_text(encoding="utf-8").split(maxsplit=2)
    assert pump()._client_id.value == client_id, "the dead one has let go of its name"
    open_project("next")
    generate("a hare", frames=1)
    for _ in range(20):
        pump().tick()
        time.sleep(0.01)
    assert [strip.name for strip in all_strips()] == ["a hare"]
    folder = PROFILE / "extensions" / ".user" / "user_default" / MODULE.rpartition(".")[2]
    assert len(list(folder.glob("client_*.id"))) == 1, list(folder.iterdir())
    bpy.ops.wm.open_mainfile(filepath=path)
    (strip,) = all_strips()
    job = pump().session.jobs[strip["elevator_job"]]
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job
    names = [element.filename for element in strip.elements]
    assert names == [f"frame_{n:04d}.png" for n in range(1, 5)], names
