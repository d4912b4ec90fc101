"""What the artist, scripts and others do while a clip is made: the clip comes all the same, and nothing is harmed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
from harness import (
    FIGURES,
    INSTALL_FILE,
    SLOW,
    all_strips,
    click,
    generate,
    job_of,
    largest,
    later,
    lay,
    open_project,
    part,
    press_generate,
    pump,
    refuse,
    scene,
    tick_for,
    tick_until,
    ticks,
    until,
)


def _look(strip: Any) -> tuple[Any, ...]:
    """Everything about a strip that we may change."""
    files = [element.filename for element in strip.elements]
    return (strip.name, strip.directory, files, strip.color_tag, strip["elevator_clip"], strip["elevator_job"])


def _is_filled(strip: Any) -> bool:
    folder = Path(bpy.path.abspath(strip.directory))
    names = [element.filename for element in strip.elements]
    return all(name.startswith("frame_") and (folder / name).is_file() for name in names)


def _end(job: Any) -> None:
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job


@contextmanager
def _busy_hands() -> Iterator[None]:
    """The artist is in the middle of a grab."""
    strips = part("blender.strips")
    real, strips.hands_are_busy = strips.hands_are_busy, lambda context: True
    try:
        yield
    finally:
        strips.hands_are_busy = real


def check_no_strip_is_touched_while_hands_are_busy() -> None:
    open_project("grab")
    made, failed = lay("a fox", frames=2), lay("fail:out_of_memory", frames=2)
    with _busy_hands():
        before = [_look(made), _look(failed)]
        tick_until(lambda: job_of(made).state.name == "FILLING" and job_of(failed).ended)
        later(1.2)  # names are told anew every second
        assert [_look(made), _look(failed)] == before
    _end(job_of(made))
    assert _is_filled(made)
    tick_until(lambda: failed.name.startswith("Failed: "))


def check_strip_that_comes_back_in_a_grab_waits_for_its_end() -> None:
    open_project("pasted in a grab")
    strip = lay(f"a fox {SLOW}", frames=2)
    kept, job = dict(strip.items()), job_of(strip)
    tick_until(lambda: job.phase == "painting")
    part("blender.strips").remove(scene(), strip)
    later(3.5)
    tick_until(lambda: job.ended)
    other = lay("a hare", frames=2)
    _end(job_of(other))
    other.directory = str(Path(bpy.path.abspath(other.directory)).parent)
    other["elevator_job"], other["elevator_clip"] = kept["elevator_job"], kept["elevator_clip"]
    with _busy_hands():
        before = _look(other)
        pump().timeline.look_at_once()
        tick_for(0.2)
        assert _look(other) == before
    pump().timeline.look_at_once()
    tick_for(0.2)
    assert other["elevator_job"] != job.id, "it is asked for anew"
    _end(job_of(other))


def check_copy_that_comes_in_a_grab_is_not_asked_for_again() -> None:
    open_project("copied in a grab")
    strip = lay("a fox", frames=4)
    job, waiting = job_of(strip), (strip.directory, [element.filename for element in strip.elements])
    _end(job)
    strip.directory, names = waiting
    for element, name in zip(strip.elements, names, strict=True):
        element.filename = name
    with _busy_hands():
        pump().timeline.look_at_once()
        tick_for(0.2)
        assert job_of(strip) is job
    pump().timeline.look_at_once()
    tick_for(0.2)
    assert _is_filled(strip)
    assert job_of(strip) is job


def check_what_hands_do() -> None:
    busy = part("blender.strips").hands_are_busy

    def told(*operators: str) -> bool:
        modal = [SimpleNamespace(bl_idname=name) for name in operators]
        windows = [SimpleNamespace(modal_operators=[]), SimpleNamespace(modal_operators=modal)]
        return bool(busy(SimpleNamespace(window_manager=SimpleNamespace(windows=windows))))

    assert told("TRANSFORM_OT_seq_slide")
    assert told("SCREEN_OT_animation_play", "SEQUENCER_OT_slip")
    assert not told("SCREEN_OT_animation_play", "VIEW2D_OT_pan")
    assert not told()
    assert not busy(bpy.context)


_opened: list[str] | None = None
"""Pictures that this process has opened for writing; None: nobody wants to know."""


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is None or event not in ("open", "os.rename"):
        return
    target = str(arguments[1] if event == "os.rename" else arguments[0])
    writes = event == "os.rename" or int(arguments[2]) & (os.O_WRONLY | os.O_RDWR)
    if writes and "frame_" in target:
        _opened.append(target)


def check_no_frame_is_written_by_blender() -> None:
    """A process of its own copies them: a slow disk must not hold up Blender."""
    global _opened
    open_project("written by others")
    generate(frames=1)
    strip = lay("a fox", frames=16)
    _opened = []
    sys.addaudithook(_hear)
    try:
        with ticks() as seen:
            _end(job_of(strip))
        assert not _opened
        (Path(bpy.path.abspath(strip.directory)) / "frame_0099.png").write_bytes(b"")
        assert len(_opened) == 1, "the hook hears"
    finally:
        _opened = None
    assert {tick.bytes for tick in seen} == {0}
    assert sum(tick.filled for tick in seen) == 1
    assert _is_filled(strip)


def check_frames_of_another_machine_come_little_by_little() -> None:
    open_project("far away")
    generate(frames=1)
    pump().session.local = False
    try:
        strip = lay("a fox", frames=16, width=128, height=128)
        job = job_of(strip)
        with ticks() as seen:
            _end(job)
    finally:
        pump().session.local = True
    assert _is_filled(strip)
    sizes = [path.stat().st_size for path in Path(job.folder).glob("frame_*.png")]
    assert sum(tick.bytes for tick in seen) == sum(sizes)
    assert max(tick.messages for tick in seen) <= part("machine.pump").MAX_MESSAGES
    assert max(tick.bytes for tick in seen) < part("machine.pump").MAX_BYTES + max(sizes)
    FIGURES["largest tick of frames over the wire"] = largest(seen)


def check_all_strips_of_a_clip_are_filled() -> None:
    open_project("copies")
    strip = lay("a fox", frames=8)
    job = job_of(strip)
    copy = scene().copy()
    (copied,) = part("blender.strips").every_strip(copy)
    assert copied["elevator_job"] == job.id
    _end(job)
    assert _is_filled(strip)
    assert _is_filled(copied)
    assert len([each for each in pump().session.jobs.values() if each.folder == job.folder]) == 1


def check_artists_name_is_kept() -> None:
    open_project("named")
    ours, theirs, failed = lay("a fox", frames=2), lay("a fox", frames=2), lay("fail:out_of_memory", frames=2)
    theirs.name, failed.name = "Opening shot", "Second shot"
    tick_until(lambda: all(job_of(strip).ended for strip in (ours, theirs, failed)))
    later(1.2)
    assert (ours.name, theirs.name, failed.name) == ("a fox", "Opening shot", "Second shot")
    assert failed.elements[0].filename.startswith("failed-"), "it says so in red"


def check_save_as_elsewhere_keeps_the_pictures() -> None:
    first = open_project("here")
    made, waits = generate("a fox", frames=2), lay("a hare", frames=16, frame_start=50)
    scene()["edit"] = 1
    bpy.ops.ed.undo_push(message="Edit")
    bpy.ops.wm.save_mainfile()
    there = first.parent.parent / "there" / "copy.blend"
    there.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(there))
    assert _is_filled(made)
    assert Path(bpy.path.abspath(waits.directory), waits.elements[0].filename).is_file()
    _end(job_of(waits))
    assert _is_filled(waits)
    bpy.ops.ed.undo()  # brings back paths from the first file's folder
    assert [_is_filled(strip) for strip in all_strips()] == [True, True]
    bpy.ops.ed.redo()
    bpy.ops.wm.save_mainfile()
    for file in (there, first):
        bpy.ops.wm.open_mainfile(filepath=str(file))
        tick_for(0.1)
        assert [_is_filled(strip) for strip in all_strips()] == [True, True], file


def check_first_save_while_frames_arrive() -> None:
    folder = open_project("saved in between").parent
    bpy.ops.wm.read_homefile(app_template="")
    bpy.context.scene.render.fps = 8
    strip = lay("a fox", frames=4)
    job = job_of(strip)
    tick_until(lambda: job.state.name == "FETCHING")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "between.blend"))
    while not job.ended:
        pump().timeline.look_at_once()  # more often than it does by itself
        tick_for(0.01)
    assert job.state.name == "DONE", job
    assert _is_filled(strip)
    assert Path(job.folder).parent == folder / "elevator", "no frame stays where the file lay before"
    assert strip.directory.startswith("//elevator/"), strip.directory


def check_cancel_stops_the_copying() -> None:
    path = open_project("cancelled in between")
    strip = lay("a fox", frames=4)
    job = job_of(strip)
    tick_until(lambda: job.state.name == "FETCHING")
    (_, copying) = pump()._deliveries._under_way[job.id]
    assert bpy.ops.elevator.cancel(job=job.id) == {"FINISHED"}
    assert job.state.name == "CANCELLED"
    assert copying._process.returncode is not None
    assert not [each for each in (path.parent / "elevator").iterdir() if each.is_dir()]


def check_scripts_hear_the_backends_sentence() -> None:
    open_project("raised")
    said = refuse(prompt="fail:out_of_memory", frames=2)
    job = list(pump().session.jobs.values())[-1]
    assert job.problem.sentence in said, said
    assert job.problem.next_step in said, said
    assert "memory" in job.problem.sentence
    assert not all_strips(), "no strip waits for what the script did not get"
    strip = lay("fail:out_of_memory", frames=2)
    tick_until(lambda: job_of(strip).ended)
    assert all_strips() == [strip], "who does not wait keeps the strip, and can try again"


def check_scripts_do_not_wait_during_a_render() -> None:
    open_project("rendering")
    operators = part("blender.operators.generate")
    app = SimpleNamespace(background=True, is_job_running=lambda kind: kind == "RENDER")
    real, operators.bpy = operators.bpy, SimpleNamespace(app=app, context=bpy.context)
    try:
        assert refuse(prompt="a fox").startswith("A render is running. Generate when it has ended.")
    finally:
        operators.bpy = real
    assert not all_strips()


def check_mistake_of_ours_loses_no_clip() -> None:
    open_project("mistaken")
    fetched = lay("a fox", frames=2)
    tick_until(lambda: job_of(fetched).state.name == "FETCHING")
    _make_a_mistake()
    painted = lay(f"a hare {SLOW}", frames=4, frame_start=50)
    tick_until(lambda: job_of(painted).phase == "painting")
    _make_a_mistake()
    assert not job_of(painted).ended, "the backend has it"
    bpy.ops.elevator.start_backend()
    tick_until(lambda: job_of(painted).ended and job_of(fetched).ended)
    assert _is_filled(painted), job_of(painted)
    assert _is_filled(fetched), job_of(fetched)


def _make_a_mistake() -> None:
    session = pump().session
    session.watch = lambda now: 1 / 0
    try:
        assert part("machine.timer")._on_timer() is None
    finally:
        del session.watch
    assert session.problem.sentence.startswith("The add-on made a mistake")


def check_queue_lists_every_clip() -> None:
    open_project("listed")
    generate(frames=1)
    strips = [lay("a fox", frames=16), lay("a hare", frames=2)]
    part("machine.timer")._on_timer()
    lines = [line.name for line in bpy.context.window_manager.elevator_queue]
    ours = [strip["elevator_job"] for strip in strips]
    assert [line for line in lines if line in ours] == ours
    for strip in strips:
        _end(job_of(strip))
    part("machine.timer")._on_timer()
    assert {line.name for line in bpy.context.window_manager.elevator_queue} == set(pump().session.jobs)


def check_late_redo_asks_anew() -> None:
    open_project("redone late")
    strip = lay(f"a fox {SLOW}", frames=4, seed=5)
    job = job_of(strip)
    tick_until(lambda: job.phase == "painting")
    bpy.ops.ed.undo()
    assert not all_strips()
    later(3.5)
    tick_until(lambda: job.ended)
    assert job.state.name == "CANCELLED", "with its strip gone nobody wants it"
    bpy.ops.ed.redo()
    (strip,) = all_strips()
    again = job_of(strip)
    assert again.request.seed == 5
    _end(again)
    assert _is_filled(strip)


def check_deleted_scene_comes_back() -> None:
    open_project("scene deleted")
    other = bpy.data.scenes.new("Other")
    kept = scene()
    job = job_of(lay(f"a fox {SLOW}", frames=4))
    tick_until(lambda: job.phase == "painting")
    bpy.context.window.scene = other
    bpy.data.scenes.remove(kept)
    bpy.ops.ed.undo_push(message="Delete Scene")
    later(3.5)
    tick_until(lambda: job.ended)
    assert job.state.name == "CANCELLED"
    bpy.ops.ed.undo()
    (held,) = part("blender.clips").held()
    _end(job_of(held.strip))
    assert _is_filled(held.strip)


class _Lit:
    """A layout that notes which operators' buttons can be pressed."""

    def __init__(self, noted: dict[str, bool]) -> None:
        self.noted, self.enabled = noted, True

    @classmethod
    def buttons(cls, panel: Any) -> dict[str, bool]:
        """Of each operator that the panel shows, whether its button can be pressed."""
        noted: dict[str, bool] = {}
        panel.draw(SimpleNamespace(layout=cls(noted)), bpy.context)
        return noted

    def row(self, **_: Any) -> _Lit:
        return _Lit(self.noted)

    column = box = row

    def operator(self, name: str, **_: Any) -> Any:
        self.noted[name] = self.enabled
        return SimpleNamespace()

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: SimpleNamespace()


def check_clip_of_another_file_waits_quietly() -> None:
    first = open_project("left")
    strip = lay("a fox", frames=2)
    job = job_of(strip)
    bpy.ops.wm.save_mainfile()
    entered = open_project("entered")
    tick_until(lambda: job.state.name == "MADE")
    assert part("machine.timer")._on_timer() is None, "no timer runs for it"
    assert "not in this file" in pump().session.status(job).line
    assert not _Lit.buttons(part("blender.panels.queue").QueuePanel)["elevator.cancel"], "Cancel All would do nothing"
    assert _is_filled(generate("a hare", frames=1))
    assert not job.ended
    assert len(list((entered.parent / "elevator").glob("*/frame_*.png"))) == 1
    bpy.ops.wm.open_mainfile(filepath=str(first))
    _end(job)
    (strip,) = all_strips()
    assert _is_filled(strip)
    assert Path(job.folder).parent == first.parent / "elevator"


def check_backend_that_somebody_else_starts_is_found() -> None:
    clean_environment = part("shared_protocol.starting").clean_environment
    open_project("started by others")
    told = json.loads(INSTALL_FILE.read_text(encoding="utf-8"))
    strip = lay(f"a fox {SLOW}", frames=4)
    tick_until(lambda: job_of(strip).phase == "painting")
    assert bpy.ops.elevator.stop_backend() == {"FINISHED"}
    tick_until(lambda: pump().session.link.name == "NONE")
    assert not job_of(strip).ended
    command = [told["python"], "-m", "backend", "serve", "--fake", "--grace", "20"]
    with subprocess.Popen(command, cwd=told["root"], env=clean_environment(os.environ)) as other:
        try:
            _end(job_of(strip))
        finally:
            other.kill()
    assert _is_filled(strip)


def check_what_is_wrong_is_told_no_longer_than_it_is_wrong() -> None:
    session = pump().session
    for mend in ("a word", "another file"):
        open_project("outlived")
        scene().elevator.prompt = ""
        with suppress(RuntimeError):
            click()
        assert session.problem.sentence == "The prompt is empty."
        if mend == "a word":
            scene().elevator.prompt = "a fox"
        else:
            open_project("outlived no more")
        assert session.problem is None, mend


def check_strip_gives_its_settings_back() -> None:
    open_project("again")
    generate(frames=1)
    job = press_generate("a fox", frames=12, width=96, height=64, seed=77, negative_prompt="snow", style="sketch")
    _end(job)
    settings = scene().elevator
    for name in ("prompt", "negative_prompt", "style_name"):
        setattr(settings, name, "")
    settings.seed, settings.length, settings.size, settings.use_random_seed = 1, "OWN", "OWN", True
    assert bpy.ops.elevator.settings_from_strip() == {"FINISHED"}
    known = set(pump().session.jobs)
    click()
    (again,) = set(pump().session.jobs) - known
    again = pump().session.jobs[again]
    told = {name for name in type(job.request).__struct_fields__ if name != "job"}
    assert {name: getattr(again.request, name) for name in told} == {name: getattr(job.request, name) for name in told}
    _end(again)


def check_another_seed_for_the_same_strip() -> None:
    open_project("another seed")
    strip = lay("a fox", frames=2, seed=5)
    _end(job_of(strip))
    place, first = part("blender.strips").span(strip), Path(bpy.path.abspath(strip.directory))
    assert bpy.ops.elevator.try_again("EXEC_DEFAULT", True, job=strip["elevator_job"], new_seed=True) == {"FINISHED"}
    assert not _is_filled(strip)
    job = job_of(strip)
    assert job.request.seed != 5
    _end(job)
    assert part("blender.strips").span(strip) == place
    assert (first / "frame_0001.png").is_file(), "the first one is still there"
    bpy.ops.ed.undo()
    tick_for(0.1)
    (strip,) = all_strips()
    assert _is_filled(strip)
    assert Path(bpy.path.abspath(strip.directory)) == first, "undo goes back to it"


def check_copying_ends_with_the_add_on() -> None:
    from harness import MODULE, addon_utils

    open_project("switched off")
    strip = lay("a fox", frames=4)
    job = job_of(strip)
    tick_until(lambda: job.state.name == "FETCHING")
    folder = Path(job.folder)
    addon_utils.disable(MODULE)
    assert not list(folder.parent.glob(".*.part")), "nothing half-written stays"
    addon_utils.enable(MODULE, default_set=True)
    time.sleep(0.2)
    generate("a hare", frames=1)
    tick_until(lambda: _is_filled(strip))
    until(lambda: not list(folder.parent.glob(".*.part")))
