"""Disks that are full or read-only. The projects' folder is a small disk of its own here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import bpy
from harness import (
    HOME,
    PROJECTS,
    SPEC,
    all_strips,
    generate,
    open_project,
    press_generate,
    pump,
    refuse,
    tick_until,
)


def _fill(leave: int) -> None:
    """Fill the small disk but for about so many bytes."""
    with (PROJECTS / "filler").open("wb") as file:
        free = os.statvfs(PROJECTS).f_bavail * os.statvfs(PROJECTS).f_frsize
        file.write(b"\0" * max(0, free - leave))


def check_full_disk_loses_nothing() -> None:
    open_project("full")
    generate("a fox", frames=1, frame_start=1)
    job = press_generate("a hare", frames=8, width=128, height=128)
    tick_until(lambda: job.phase == "painting")
    _fill(leave=12 << 10)
    tick_until(lambda: job.ended)
    (PROJECTS / "filler").unlink()
    assert job.state.name == "DONE", job
    assert len(all_strips()) == 2
    assert any("the disk is full" in warning for warning in job.warnings), job.warnings
    strip = next(strip for strip in all_strips() if strip.name == "a hare")
    assert Path(strip.directory).is_relative_to(HOME / "state" / "clips"), strip.directory
    assert len(list(Path(strip.directory).glob("frame_*.png"))) == 8
    assert strip.elements[7].filename == "frame_0008.png"
    assert not list(PROJECTS.rglob("*.part"))


def check_no_room_anywhere() -> None:
    open_project("nowhere")
    deliveries = pump()._deliveries
    spare, deliveries._spare = deliveries._spare, lambda: PROJECTS / "spare"
    try:
        job = press_generate("a hare", frames=8, width=128, height=128, seed=77)
        tick_until(lambda: job.phase == "painting")
        _fill(leave=12 << 10)
        tick_until(lambda: job.ended)
    finally:
        deliveries._spare = spare
        (PROJECTS / "filler").unlink()
    assert job.state.name == "FAILED"
    assert "the disk is full" in job.problem.sentence, job.problem
    assert "Try Again" in job.problem.next_step
    (strip,) = all_strips()
    assert bpy.ops.elevator.try_again(job=job.id) == {"FINISHED"}
    again = pump().session.jobs[strip["elevator_job"]]
    assert again.request.seed == 77
    tick_until(lambda: again.ended)
    assert strip.elements[0].filename == "frame_0001.png", "with room it is made all the same"
    generate("a fox", frames=1)


def check_read_only_disk() -> None:
    open_project("readonly")
    subprocess.run(["mount", "-o", "remount,ro", SPEC["projects"]], check=True)
    try:
        said = refuse(prompt="a fox")
        assert "cannot be written: it is write-protected. Save the .blend in a folder that can be written." in said, (
            said
        )
        assert not pump().session.active
    finally:
        subprocess.run(["mount", "-o", "remount,rw", SPEC["projects"]], check=True)
    bpy.ops.wm.save_mainfile()
    generate("a fox", frames=1)
