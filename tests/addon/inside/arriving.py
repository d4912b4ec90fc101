"""The strip that waits: where it is laid, what the artist may do with it, and how its clip arrives."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import bpy
from harness import (
    SLOW,
    all_strips,
    generate,
    job_of,
    later,
    lay,
    open_project,
    part,
    pump,
    scene,
    tick_for,
    tick_until,
)

FRAMES = 8


def _strips() -> Any:
    return part("blender.strips")


def _spans() -> list[tuple[int, int, int]]:
    return sorted((strip.channel, *_strips().span(strip)) for strip in all_strips())


def _is_filled(strip: Any) -> bool:
    folder = Path(bpy.path.abspath(strip.directory))
    return all(
        (folder / element.filename).is_file() and element.filename.startswith("frame_") for element in strip.elements
    )


def _end(strip: Any) -> None:
    job = job_of(strip)
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job


def _plate(channel: int, start: int, length: int, name: str = "plate") -> Any:
    strips = _strips().strips_of(_strips().open_holder(scene()))
    picture = Path(bpy.path.abspath("//plate.png"))
    if not picture.is_file():
        picture.write_bytes(part("machine.stripes").stripes("failed", 64, 64))
    strip = strips.new_image(name=name, filepath=str(picture), channel=channel, frame_start=start)
    for _ in range(length - 1):
        strip.elements.append("plate.png")
    return strip


def check_strip_is_there_at_once() -> None:
    open_project("at once")
    scene().frame_set(42)
    strip = lay("a red fox", frames=FRAMES)
    assert _strips().span(strip) == (42, 50)
    assert not job_of(strip).ended
    assert Path(bpy.path.abspath(strip.directory), strip.elements[0].filename).is_file(), "it shows a picture"
    assert strip.name.startswith("a red fox")
    _end(strip)
    assert _is_filled(strip)
    assert strip.name == "a red fox"
    assert [element.filename for element in strip.elements] == [f"frame_{n:04d}.png" for n in range(1, 9)]


def check_scenes_frame_rate_is_kept() -> None:
    open_project("rate")
    scene().render.fps = 24
    strip = lay(frames=FRAMES)
    assert _strips().span(strip) == (1, 25), "8 frames at 8 a second are a second"
    _end(strip)
    assert [element.filename for element in strip.elements] == [
        f"frame_{n:04d}.png" for n in range(1, 9) for _ in range(3)
    ]
    scene().render.fps, scene().render.fps_base = 30, 1.001
    strip = lay(frames=FRAMES, frame_start=100)
    assert _strips().span(strip) == (100, 130)
    strip = lay(frames=FRAMES, frame_start=200, rate="CLIP")
    assert _strips().span(strip) == (200, 208)
    _end(strip)


def check_strip_goes_above_the_picture() -> None:
    open_project("above")
    _plate(2, 1, 100)
    assert lay(frames=FRAMES).channel == 3, "and not under it, on channel 1"
    assert lay(frames=FRAMES, frame_start=200).channel == 1
    _plate(5, 300, 100, "active")
    _plate(8, 300, 100, "title")
    scene().sequence_editor.active_strip = next(s for s in all_strips() if s.name == "active")
    assert lay(frames=FRAMES, frame_start=310, place="ABOVE_ACTIVE").channel == 6
    assert lay(frames=FRAMES, frame_start=310, channel=2).channel == 2
    assert lay(frames=FRAMES, frame_start=312, channel=2).channel == 3, "what is taken is never overlapped"


def check_locked_and_muted_channels_are_left_alone() -> None:
    open_project("closed")
    channels = _strips().open_holder(scene()).channels
    channels[1].lock = True
    channels[2].mute = True
    assert lay(frames=FRAMES).channel == 3


def check_strip_follows_the_edit() -> None:
    open_project("ripple")
    strip = lay(frames=FRAMES)
    strip.frame_start = 61
    bpy.ops.ed.undo_push(message="Move")
    other = strip.split(frame=64, split_method="SOFT")
    bpy.ops.ed.undo_push(message="Split")
    _end(strip)
    assert _spans() == [(1, 61, 64), (1, 64, 69)]
    assert _is_filled(strip)
    assert _is_filled(other)


def check_arrival_leaves_undo_redo_and_selection() -> None:
    open_project("manners of arrival")
    _plate(1, 1, 50)
    bpy.ops.ed.undo_push(message="Plate")
    strip = lay(frames=FRAMES)
    for step in range(3):
        scene()["edit"] = step
        bpy.ops.ed.undo_push(message=f"Edit {step}")
    for _ in range(3):
        bpy.ops.ed.undo()
    plate = next(each for each in all_strips() if each.name == "plate")
    for each in all_strips():
        each.select = each == plate
    scene().sequence_editor.active_strip = plate
    (strip,) = [each for each in all_strips() if each.get("elevator_job")]
    assert bpy.ops.ed.redo.poll()
    _end(strip)
    assert [each.name for each in all_strips() if each.select] == ["plate"]
    assert scene().sequence_editor.active_strip.name == "plate"
    for step in range(3):
        assert bpy.ops.ed.redo.poll(), "nothing that could be redone is lost"
        bpy.ops.ed.redo()
        assert scene()["edit"] == step
        (strip,) = [each for each in all_strips() if each.get("elevator_job")]
        assert _is_filled(strip), "what was shown is shown again at once"
    for _ in range(3):
        bpy.ops.ed.undo()
    (strip,) = [each for each in all_strips() if each.get("elevator_job")]
    assert _is_filled(strip)
    bpy.ops.ed.undo()
    assert [each.name for each in all_strips()] == ["plate"], "laying the strip down was one step"


def check_arrival_while_a_mesh_is_edited() -> None:
    """In Edit Mode an undo step holds the mesh alone: one for the clip's arrival would be empty."""
    open_project("mesh")
    bpy.ops.mesh.primitive_cube_add()
    strip = lay(frames=FRAMES)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.delete(type="VERT")
    bpy.ops.ed.undo_push(message="Delete")
    _end(strip)
    assert _is_filled(strip)
    assert bpy.context.mode == "EDIT_MESH"
    bpy.ops.ed.undo()
    bpy.context.object.update_from_editmode()
    assert len(bpy.context.object.data.vertices) == 8, "one step back is what was done before the clip came"
    (strip,) = all_strips()
    assert _is_filled(strip)
    bpy.ops.object.mode_set(mode="OBJECT")


def check_taking_the_strip_away_cancels() -> None:
    open_project("deleted")
    strip = lay(f"a fox {SLOW}", frames=4)
    job = job_of(strip)
    tick_until(lambda: job.state.name == "RUNNING")
    _strips().remove(scene(), strip)
    bpy.ops.ed.undo_push(message="Delete")
    pump().timeline.look_at_once()
    tick_for(0.05)
    assert not job.ended, "undo may bring it back at once"
    later(3.5)
    tick_until(lambda: job.ended)
    assert job.state.name == "CANCELLED", job
    bpy.ops.ed.undo()
    tick_for(0.1)
    (strip,) = all_strips()
    again = job_of(strip)
    assert again.id != job.id
    assert again.request.seed == job.request.seed
    _end(strip)
    assert _is_filled(strip)


def check_undo_at_once_keeps_the_job() -> None:
    open_project("undone")
    strip = lay("a fox", frames=32)
    job = job_of(strip)
    tick_until(lambda: job.state.name == "RUNNING")
    bpy.ops.ed.undo()
    assert not all_strips()
    later(1.0)
    bpy.ops.ed.redo()
    (strip,) = all_strips()
    assert job_of(strip) is job
    _end(strip)


def check_another_file_keeps_the_clip() -> None:
    first = open_project("first file")
    strip = lay("a fox", frames=FRAMES)
    job = job_of(strip)
    bpy.ops.wm.save_mainfile()
    open_project("second file")
    tick_until(lambda: job.state.name == "MADE")
    assert not all_strips()
    bpy.ops.wm.open_mainfile(filepath=str(first))
    (strip,) = all_strips()
    _end(strip)
    assert _is_filled(strip)


def check_reverted_file_gets_its_clip() -> None:
    open_project("reverted")
    strip = lay("a fox", frames=FRAMES)
    job = job_of(strip)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.revert_mainfile()
    tick_until(lambda: job.ended)
    (strip,) = all_strips()
    assert _is_filled(strip), job


def check_meta_strip_that_is_open_gets_the_strip() -> None:
    open_project("meta")
    _plate(1, 1, 50)
    meta = _strips().strips_of(scene().sequence_editor).new_meta(name="Meta", channel=3, frame_start=1)
    inside = _strips().add_image_strip(
        meta,
        name="inner",
        folder=Path(bpy.path.abspath("//")),
        file="plate.png",
        length=50,
        channel=1,
        frame_start=1,
        fit="FIT",
    )
    assert inside.name in _strips().strips_of(meta)
    strip = lay(frames=FRAMES)
    strip.move_to_meta(meta)
    assert strip.name in _strips().strips_of(meta)
    _end(next(each for each in all_strips() if each.get("elevator_job")))
    assert _is_filled(next(each for each in all_strips() if each.get("elevator_job")))


def check_failure_is_said_on_the_strip() -> None:
    open_project("failed strip")
    strip = lay("fail:out_of_memory", frames=FRAMES)
    job = job_of(strip)
    tick_until(lambda: job.ended)
    later(1.2)
    assert strip.name.startswith("Failed: ")
    assert strip.elements[0].filename.startswith("failed-")
    assert bpy.ops.elevator.try_again(job=job.id) == {"FINISHED"}
    assert strip["elevator_job"] != job.id
    assert strip.elements[0].filename.startswith("waiting-")


def check_first_save_takes_the_clips_along() -> None:
    folder = open_project("saved later").parent
    bpy.ops.wm.read_homefile(app_template="")
    bpy.context.scene.render.fps = 8
    made, waits = generate("a fox", frames=4), lay("a cat", frames=32, frame_start=100)
    before = Path(bpy.path.abspath(made.directory))
    assert not before.is_relative_to(folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "later.blend"))
    for strip in (made, waits):
        assert strip.directory.startswith("//elevator/"), strip.directory
    assert _is_filled(made)
    assert not before.exists(), "they have moved"
    _end(waits)
    assert _is_filled(waits)
    (folder / "elsewhere").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "elsewhere" / "again.blend"))
    assert _is_filled(made)
    assert _is_filled(waits)


def check_first_save_where_a_file_is_in_the_way_leaves_the_clips_where_they_were() -> None:
    folder = open_project("in the way of the clips").parent
    (folder / "elevator").write_text("in the way", encoding="utf-8")
    bpy.ops.wm.read_homefile(app_template="")
    bpy.context.scene.render.fps = 8
    strip = generate("a fox", frames=2)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "blocked.blend"))
    assert _is_filled(strip)
    assert pump().session.problem.next_step == "The clips stay where they were."
    assert (folder / "elevator").read_text(encoding="utf-8") == "in the way"


def check_frames_that_vanish_before_they_are_shown_are_missed() -> None:
    open_project("vanished")
    strips, strip = _strips(), lay("a fox", frames=2)
    job, free = job_of(strip), strips.hands_are_busy
    strips.hands_are_busy = lambda context: True
    try:
        tick_until(lambda: job.state.name == "FILLING")
        (Path(job.folder) / "frame_0002.png").unlink()
    finally:
        strips.hands_are_busy = free
    tick_until(lambda: job.ended)
    assert (job.state.name, job.problem.code) == ("FAILED", "frames_missing"), job
    assert job.problem.sentence == f"Frames are missing in {job.folder}."


def check_what_killed_processes_have_left_is_tidied_when_a_file_is_opened() -> None:
    path = open_project("tidied")
    left = path.parent / "elevator" / "a-dog-0000abcd"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert not left.exists()


def check_late_paste_is_filled() -> None:
    open_project("paste")
    strip = lay("a fox", frames=FRAMES)
    text, job = strip["elevator_clip"], strip["elevator_job"]
    directory, file = strip.directory, strip.elements[0].filename
    _end(strip)
    copy = _plate(9, 300, FRAMES, "copy")
    copy["elevator_clip"], copy["elevator_job"], copy.directory = text, job, directory
    for element in copy.elements:
        element.filename = file
    pump().timeline.look_at_once()
    tick_for(0.2)
    assert _is_filled(copy)


def check_strip_cycles_through_its_takes() -> None:
    path = open_project("takes")
    known = set(pump().session.jobs)
    strip = lay("a fox", frames=2, seed=7, takes=3)
    ticket = part("blender.clips").ticket_of
    jobs = [job for name, job in pump().session.jobs.items() if name not in known]
    assert [job.request.seed for job in jobs] == [7, 8, 9]
    tick_until(lambda: all(job.ended for job in jobs))
    assert [job.state.name for job in jobs] == ["DONE"] * 3
    assert len(all_strips()) == 1
    assert _is_filled(strip)
    for seed in (8, 9, 7, 8):
        assert bpy.ops.elevator.next_take("EXEC_DEFAULT", True) == {"FINISHED"}
        (strip,) = all_strips()
        assert ticket(strip).request.seed == seed
        assert _is_filled(strip), "its frames were there"
    bpy.ops.ed.undo()
    (strip,) = all_strips()
    assert ticket(strip).request.seed == 7
    assert _is_filled(strip)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert bpy.ops.elevator.remove_unused() == {"CANCELLED"}, "takes are in use"
    tick_for(0.1)
    assert set(pump().session.jobs) == known | {job.id for job in jobs}, "nothing is asked for again"
    assert all(job.ended for job in jobs)


def check_hidden_takes_that_nobody_here_has_asked_for_are_taken_up() -> None:
    """As those of a Blender that has ended since."""
    open_project("takes of another")
    strip = lay(f"a fox {SLOW}", frames=2, takes=2)
    jobs, session = part("blender.clips").ticket_of(strip).jobs, pump().session
    tick_until(lambda: all(session.jobs[job].accepted for job in jobs))
    for job in jobs:
        del session.jobs[job]
    later(1.0)
    assert session.jobs.keys() >= set(jobs)
    tick_until(lambda: all(session.jobs[job].ended for job in jobs))
    assert [session.jobs[job].state.name for job in jobs] == ["DONE"] * 2
    assert _is_filled(strip)
    assert bpy.ops.elevator.next_take("EXEC_DEFAULT", True) == {"FINISHED"}
    assert _is_filled(strip), "its frames went where the strip looks for them"


def check_hidden_takes_end_with_their_strip_and_come_with_the_file() -> None:
    folder = open_project("hidden takes").parent
    bpy.ops.wm.read_homefile(app_template="")
    bpy.context.scene.render.fps = 8
    strip = generate("a fox", frames=2, takes=2)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "later.blend"))
    assert sorted(len(list(each.glob("frame_*.png"))) for each in (folder / "elevator").glob("a-fox-*")) == [2, 2]
    job = job_of(strip)
    assert bpy.ops.elevator.try_again(job=job.id, new_seed=True) == {"FINISHED"}
    assert len(part("blender.clips").ticket_of(strip).takes) == 2, "what it showed is a take of it"
    _end(strip)
    strip = lay(f"a hare {SLOW}", frames=2, takes=2, frame_start=50)
    jobs = [pump().session.jobs[job] for job in part("blender.clips").ticket_of(strip).jobs]
    _strips().remove(scene(), strip)
    later(3.5)
    tick_until(lambda: all(job.ended for job in jobs))
    assert {job.state.name for job in jobs} == {"CANCELLED"}


def check_unused_clips_are_removed() -> None:
    path = open_project("unused")
    generate("a fox", frames=2)
    hare = generate("a hare", frames=2, frame_start=50)
    bpy.ops.ed.undo_push(message="Clips")
    folder, parent = Path(bpy.path.abspath(hare.directory)), path.parent / "elevator"
    _strips().remove(scene(), hare)
    bpy.ops.ed.undo_push(message="Delete")
    assert bpy.ops.elevator.remove_unused() == {"CANCELLED"}, "undo may bring it back"
    bpy.ops.ed.undo()
    assert [_is_filled(strip) for strip in all_strips()] == [True, True]
    bpy.ops.wm.save_as_mainfile(filepath=str(path.with_name("older version.blend")), copy=True, compress=True)
    bpy.ops.ed.redo()
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert bpy.ops.elevator.remove_unused() == {"CANCELLED"}, "the older version shows it"
    path.with_name("older version.blend").unlink()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert bpy.ops.elevator.remove_unused() == {"FINISHED"}
    assert [file.name for file in folder.iterdir()] == ["notes.txt"], "what we did not write stays"
    (folder / "notes.txt").unlink()
    folder.rmdir()
    assert len([each for each in parent.iterdir() if each.is_dir()]) == 1
    assert _is_filled(*all_strips())


def check_clips_are_collected() -> None:
    first = open_project("collected")
    strip = generate("a fox", frames=2)
    bpy.ops.wm.save_mainfile()
    there = first.parent.parent / "collected there" / "copy.blend"
    there.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(there))
    bpy.ops.wm.open_mainfile(filepath=str(first))
    _strips().remove(scene(), *all_strips())
    for _ in range(2):  # the second backup is without it, too
        bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(first))
    assert bpy.ops.elevator.remove_unused() == {"CANCELLED"}, "the copy elsewhere shows it"
    bpy.ops.wm.open_mainfile(filepath=str(there))
    waits = lay(f"a hare {SLOW}", frames=2, frame_start=50)
    waits.directory = "//../collected/elevator/"
    assert pump().timeline.collect() == (1, 0), "what is still waited for is not missing"
    strip, waits = sorted(all_strips(), key=lambda strip: _strips().span(strip))
    assert strip.directory.startswith("//elevator/"), strip.directory
    assert _is_filled(strip)
    assert waits.directory.startswith("//elevator"), "its clip will come there"
    _end(waits)
    assert _is_filled(waits)
    _strips().remove(scene(), waits)
    shutil.rmtree(there.parent / "elevator")
    shutil.rmtree(first.parent / "elevator")
    assert bpy.ops.elevator.collect_clips() == {"FINISHED"}, "it says what is missing"
    assert pump().timeline.collect() == (0, 1)
    pump().timeline.mend()
    assert strip.directory.startswith("//elevator/"), strip.directory


def check_finished_clip_is_inserted() -> None:
    """A clip that is in no strip: its own was taken away, and another file is open."""
    open_project("first owner")
    job = job_of(lay("a lost fox", frames=FRAMES, seed=9))
    tick_until(lambda: job.ended)
    open_project("second owner")
    assert bpy.ops.elevator.find_clips() == {"FINISHED"}
    tick_until(lambda: job.id in pump().session.backend.finished)
    scene().frame_set(50)
    assert bpy.ops.elevator.insert_clip(job=job.id) == {"FINISHED"}
    (strip,) = all_strips()
    assert _strips().span(strip) == (50, 50 + FRAMES)
    assert part("blender.clips").ticket_of(strip).request.seed == 9
    tick_until(lambda: _is_filled(strip))


def check_failure_is_said_on_a_disk_that_takes_nothing() -> None:
    open_project("failed on a full disk")
    strip = lay("fail:out_of_memory", frames=FRAMES)
    job, stripes = job_of(strip), part("machine.stripes")
    kept, stripes.put = stripes.put, _full
    try:
        tick_until(lambda: job.ended)
        later(1.2)
        assert strip.name.startswith("Failed: ")
        assert pump().session.link.name == "READY", "it is no mistake of ours"
        assert bpy.ops.elevator.try_again(job=job.id) == {"FINISHED"}
        assert strip["elevator_job"] != job.id
    finally:
        stripes.put = kept


def _full(*_: Any) -> str:
    raise OSError(28, "No space left on device")
