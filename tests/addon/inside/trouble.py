"""What goes wrong is said in one sentence, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import bpy
from harness import (
    FIGURES,
    INSTALL_FILE,
    PROJECTS,
    all_strips,
    backend_pid,
    click,
    generate,
    open_project,
    part,
    press_generate,
    pump,
    refuse,
    scene,
    tick_for,
    tick_until,
)


def check_bad_wishes_are_refused() -> None:
    open_project("wishes")
    assert refuse(prompt="  ").startswith("The prompt is empty. Say what should be seen, such as")
    said = refuse(prompt="a fox", frames=5000)
    assert said.startswith("A clip of 5000 frames is not possible."), said
    assert refuse(prompt="a fox", frames=-1).startswith("A clip of -1 frames is not possible.")
    assert refuse(prompt="a fox", width=4).startswith("A width of 4 pixels is not possible.")
    assert refuse(prompt="a fox", height=63).startswith("A size of 64 × 63 pixels is not possible with")
    assert refuse(prompt="a fox", width=8192).startswith("A size of 8192 × 64 pixels is not possible with")
    assert refuse(prompt="a fox", style="nope").startswith('There is no style "nope". Choose one of these: plain')
    assert refuse(prompt="a" * 2001).startswith("The prompt has 2001 characters.")
    assert not all_strips()
    assert not (PROJECTS / "wishes" / "elevator").exists(), "no empty folders stay behind"


def check_empty_prompt_in_the_panel() -> None:
    open_project("panel")
    scene().elevator.prompt = ""
    with contextlib.suppress(RuntimeError):  # how a script hears it
        assert click() == {"CANCELLED"}
    assert pump().session.problem.sentence == "The prompt is empty."
    assert not pump().session.active


def check_unknown_words_are_said() -> None:
    open_project("words")
    generate("a fox unknown:flurble", frames=1)
    job = list(pump().session.jobs.values())[-1]
    assert any("flurble" in warning for warning in job.warnings), job.warnings


def check_failures_of_the_backend_are_said() -> None:
    open_project("failures")
    said = refuse(prompt="a fox fail:out_of_memory", frames=2)
    assert "memory" in said, said
    assert said.count(".") >= 2, "a sentence and a next step"
    said = refuse(prompt="a fox fail:crash", frames=2)
    assert said, said
    generate("a fox", frames=1)


def check_cancel() -> None:
    open_project("cancel")
    os.environ["ELEVATOR_FAKE_STEP_SECONDS"] = "0.01"
    job = press_generate("a fox fail:hang")
    tick_until(lambda: job.phase == "painting")
    begin = time.monotonic()
    assert bpy.ops.elevator.cancel(job=job.id) == {"FINISHED"}
    assert pump().session.status(job).line == "Cancelling"
    tick_until(lambda: job.ended)
    FIGURES["seconds until a cancel was honoured"] = time.monotonic() - begin
    assert job.state.name == "CANCELLED"
    (strip,) = all_strips()
    tick_for(1.2)
    assert strip.name.startswith("Cancelled: "), "the strip stays, and can be tried again"
    assert not Path(job.folder).exists()
    generate("a fox", frames=1)


def check_cancel_before_the_backend_is_there() -> None:
    open_project("early")
    _end_backend()
    job = press_generate("a fox")
    bpy.ops.elevator.cancel()
    assert job.state.name == "CANCELLED"
    tick_until(lambda: not pump().session.busy)


def check_interrupted_script_cancels() -> None:
    open_project("interrupted")
    kept = generate("a fox", frames=1)

    def interrupt(status: Any) -> None:
        if status.phase in ("painting", "refining"):  # they take turns, and a script looks now and then
            raise KeyboardInterrupt

    pump().on_status = interrupt
    try:
        with contextlib.suppress(KeyboardInterrupt, RuntimeError):
            bpy.ops.elevator.generate("EXEC_DEFAULT", prompt="a fox")
    finally:
        pump().on_status = None
    job = list(pump().session.jobs.values())[-1]
    assert job.state.name == "CANCELLED", job
    assert all_strips() == [kept], "no strip waits for what the script does not want"
    generate("a fox", frames=1)


def check_backend_that_died_unseen_is_replaced() -> None:
    open_project("killed too")
    generate("a fox", frames=1)
    # Nobody looks while nothing is being made; the next click finds out and starts another.
    os.kill(backend_pid(), signal.SIGKILL)
    time.sleep(0.3)
    generate("a hare", frames=1)


def check_stop_and_start() -> None:
    open_project("stop")
    generate("a fox", frames=1)
    assert bpy.ops.elevator.stop_backend() == {"FINISHED"}
    tick_until(lambda: pump().session.link.name == "NONE")
    assert not bpy.ops.elevator.stop_backend.poll()
    bpy.ops.elevator.start_backend()
    tick_until(lambda: pump().session.link.name == "READY")


def check_missing_backend_shows_the_command() -> None:
    open_project("missing")
    _end_backend()
    told = INSTALL_FILE.read_text(encoding="utf-8")
    try:
        INSTALL_FILE.unlink()
        said = refuse(prompt="a fox")
        assert said.startswith("The backend is not installed."), said
        assert pump().session.problem.command == "python3 install.py setup"
        INSTALL_FILE.write_text(told.replace('"version": "', '"version": "9.'), encoding="utf-8")
        said = refuse(prompt="a fox")
        assert said.startswith("The backend is version 9."), said
        root = Path(json.loads(told)["root"])
        assert str(root / "install.py") in pump().session.problem.command
        INSTALL_FILE.write_text("{", encoding="utf-8")
        assert "is damaged" in refuse(prompt="a fox")
        INSTALL_FILE.write_text(json.dumps(json.loads(told) | {"root": "/nowhere/at/all"}), encoding="utf-8")
        assert "no longer in" in refuse(prompt="a fox")
        INSTALL_FILE.write_text(json.dumps(json.loads(told) | {"arguments": ["--no-such-option"]}), encoding="utf-8")
        assert "The backend ended at once" in refuse(prompt="a fox")
    finally:
        INSTALL_FILE.write_text(told, encoding="utf-8")
    generate("a fox", frames=1)


def check_command_is_copied() -> None:
    assert bpy.ops.elevator.copy_command(command="python3 install.py setup") == {"FINISHED"}


def check_system_that_opens_no_folders_is_said() -> None:
    if sys.platform in ("win32", "darwin"):
        return
    before, os.environ["PATH"] = os.environ["PATH"], ""
    said = ""
    try:
        bpy.ops.elevator.open_folder(folder=str(PROJECTS))
    except RuntimeError as error:
        said = str(error).strip()
    finally:
        os.environ["PATH"] = before
    assert said == f"Error: The program xdg-open, which opens folders, is not installed: {PROJECTS}"


def check_folder_that_cannot_be_made() -> None:
    project = open_project("blocked")
    (project.parent / "elevator").write_text("a file is in the way", encoding="utf-8")
    said = refuse(prompt="a fox")
    assert "cannot be written" in said, said
    assert not pump().session.active


def check_never_during_render() -> None:
    open_project("render")
    strips = part("blender.strips")
    allowed, strips.hands_are_busy = strips.hands_are_busy, lambda context: True
    try:
        job = press_generate("a fox", frames=2)
        (strip,) = all_strips()
        before = (strip.name, strip.directory, [element.filename for element in strip.elements])
        tick_until(lambda: job.state.name == "FILLING")
        for _ in range(5):
            assert pump().tick(), "it keeps ticking while the strip waits"
        assert (strip.name, strip.directory, [element.filename for element in strip.elements]) == before
        assert "nothing is being moved or rendered" in pump().session.status(job).line
    finally:
        strips.hands_are_busy = allowed
    tick_until(lambda: job.ended)
    assert strip.elements[0].filename == "frame_0001.png"


def check_never_while_loading() -> None:
    open_project("loading")
    job = press_generate("a fox", frames=1)
    pump().set_loading(True)
    for _ in range(50):
        assert pump().tick() is not None, "it goes on afterwards"
        time.sleep(0.01)
    assert not job.ended
    pump().set_loading(False)
    tick_until(lambda: job.ended)


def check_no_channel_is_free() -> None:
    open_project("full")
    strip = generate("a fox", frames=2, frame_start=1)
    folder = Path(bpy.path.abspath(strip.directory))
    strips = part("blender.strips")
    for channel in range(2, part("clip.placing").LAST_CHANNEL + 1):
        strips.add_image_strip(
            scene().sequence_editor,
            name="x",
            folder=folder,
            file="frame_0001.png",
            length=1,
            channel=channel,
            frame_start=1,
            fit="FIT",
        )
    said = refuse(prompt="a hare", frames=2, frame_start=1)
    assert said == "No channel is free for 2 frames at frame 1. [no_channel]", said
    assert not pump().session.active, "and nothing is asked for"


def check_a_mistake_of_ours_is_said() -> None:
    open_project("mistake")
    generate("a fox", frames=1)
    press_generate("a fox", frames=1)
    session = pump().session
    session.watch = lambda now: 1 / 0
    try:
        assert part("machine.timer")._on_timer() is None
    finally:
        del session.watch
    assert session.link.name == "NONE"
    assert "The add-on made a mistake" in session.problem.sentence
    generate("a fox", frames=1)


def _end_backend() -> None:
    """End the backend and wait until it is gone."""
    is_running = part("shared_protocol.machine.processes").is_running
    if pump().session.link.name == "READY":
        pid = backend_pid()
        bpy.ops.elevator.stop_backend()
        tick_until(lambda: pump().session.link.name == "NONE")
        deadline = time.monotonic() + 10
        while is_running(pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)
