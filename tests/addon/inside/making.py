"""From a prompt to a strip."""

from __future__ import annotations

import importlib.util
import shutil
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import harness
from harness import (
    FIGURES,
    HOME,
    MODULE,
    PROFILE,
    all_strips,
    generate,
    job_of,
    largest,
    lay,
    open_project,
    part,
    press_generate,
    pump,
    scene,
    tick_until,
    ticks,
)


def check_wheels_are_the_extensions() -> None:
    import msgspec
    import zmq

    for module in (zmq, msgspec):
        assert Path(module.__file__ or "").is_relative_to(PROFILE), module.__file__


def check_nothing_of_ours_is_there_for_other_extensions() -> None:
    """Top-level modules belong to every extension of a Blender, and a namesake would be taken for ours."""
    assert importlib.util.find_spec("shared_protocol") is None
    assert part("shared_protocol.messages").__name__ == f"{MODULE}.shared_protocol.messages"


def check_strip_is_as_asked() -> None:
    project = open_project("größe 影 one")
    scene().frame_set(42)
    strip = generate("a pumpkin moving right, blue background", frames=5, width=64, height=32, seed=7)
    assert part("blender.strips").span(strip) == (42, 47)
    assert strip.channel == 1
    assert strip.type == "IMAGE"
    assert strip.name == "a pumpkin moving right, blue background"
    assert strip.colorspace_settings.name == "sRGB"
    assert strip.select
    assert scene().sequence_editor.active_strip == strip
    assert strip.directory.startswith("//elevator/a-pumpkin-moving-right-blue-"), strip.directory
    folder = Path(bpy.path.abspath(strip.directory))
    assert folder.parent == project.parent / "elevator"
    names = [f"frame_{index:04d}.png" for index in range(1, 6)]
    assert [element.filename for element in strip.elements] == names
    assert sorted(path.name for path in folder.glob("*.png")) == names
    image = bpy.data.images.load(str(folder / names[0]))
    assert tuple(image.size) == (64, 32)


def check_settings_stay_on_the_strip() -> None:
    open_project("settings")
    strip = generate("a fox", negative_prompt="snow", style="sketch", frames=2, seed=123)
    request = _request(strip)
    told = (request.prompt, request.negative_prompt, request.style, request.seed, request.frames)
    assert told == ("a fox", "snow", "sketch", 123, 2)
    assert strip["elevator_job"] == request.job
    assert request.width % 16 == 0


def _request(strip: Any) -> Any:
    """What made the strip's clip, as the strip itself says."""
    return part("blender.clips").ticket_of(strip).request


def check_left_out_arguments_are_the_styles_own() -> None:
    open_project("own")
    scene().elevator.frames = 3  # the panel's fields are not meant by a script
    strip = generate("a fox")
    style = pump().session.backend.styles[0]
    assert part("blender.strips").span(strip) == (scene().frame_current, scene().frame_current + style.frames)
    assert _request(strip).style == style.name
    assert _request(strip).width == style.width


def check_new_pictures_fill_the_scenes_rate() -> None:
    open_project("smooth")
    scene().render.fps, scene().render.fps_base = 30, 1.001
    strip = generate("a fox", frames=4, width=64, height=32, rate="FLOW")  # 4 frames at 8 a second are 15 at 29.97
    ticket = part("blender.clips").ticket_of(strip)
    assert (ticket.request.frames, ticket.frames, ticket.request.flow_fps) == (4, 15, Fraction(30_000, 1001))
    assert part("blender.strips").span(strip) == (scene().frame_current, scene().frame_current + 15)
    names = [f"frame_{index:04d}.png" for index in range(1, 16)]
    assert [element.filename for element in strip.elements] == names
    folder = part("blender.strips").folder(strip)
    assert sorted(path.name for path in folder.glob("*.png")) == names
    assert len({(folder / name).read_bytes() for name in names}) > 8, "there are more pictures than were sampled"
    assert bpy.ops.elevator.settings_from_strip() == {"FINISHED"}
    assert scene().elevator.rate == "FLOW"
    assert bpy.ops.elevator.try_again(job=ticket.job, new_seed=True) == {"FINISHED"}
    tick_until(lambda: not pump().session.busy)
    again = part("blender.clips").ticket_of(all_strips()[0])
    assert again.job != ticket.job
    assert [element.filename for element in all_strips()[0].elements] == names
    folder = part("blender.strips").folder(all_strips()[0])
    shutil.rmtree(folder)
    open_project("smooth elsewhere")
    scene().render.fps, scene().render.fps_base = 30, 1.001
    bpy.ops.elevator.find_clips()
    tick_until(lambda: again.job in pump().session.backend.finished)
    bpy.ops.elevator.insert_clip(job=again.job)
    tick_until(lambda: part("blender.clips").active(scene()).filled)
    inserted = part("blender.clips").active(scene())
    assert (inserted.ticket.frames, len(inserted.strip.elements)) == (15, 15)


def check_one_frame_is_enough() -> None:
    open_project("single")
    assert part("blender.strips").span(generate("a fox", frames=1, frame_start=-3)) == (-3, -2)


def check_lowest_channel_above_all_is_taken() -> None:
    open_project("channels")
    first = lay(frames=4, frame_start=10)
    assert lay(frames=4, frame_start=13).channel == 2, "one frame of overlap"
    assert lay(frames=4, frame_start=17).channel == 1, "strips that touch do not overlap"
    assert lay(frames=3, frame_start=7).channel == 1
    assert lay(frames=7, frame_start=7).channel == 3, "above the one that it would reach into by one frame"
    assert lay(frames=6, frame_start=1).channel == 1
    assert first.channel == 1


def check_wished_channel_is_kept_or_said() -> None:
    open_project("wished")
    assert generate(frames=4, frame_start=1, channel=5).channel == 5
    assert lay(frames=4, frame_start=1, channel=5).channel == 6
    scene().sequence_editor.channels[7].lock = True
    assert lay(frames=4, frame_start=1).channel == 8, "a locked channel is left alone"


def check_undo_is_one_step() -> None:
    open_project("undo")
    scene()["before"] = 1
    bpy.ops.ed.undo_push(message="Something else")
    job = job_of(lay(frames=2))
    tick_until(lambda: job.ended)
    assert len(all_strips()) == 1
    bpy.ops.ed.undo()
    assert not all_strips()
    assert scene().get("before") == 1, "only the clip is undone"
    bpy.ops.ed.redo()
    (strip,) = all_strips()
    assert strip.colorspace_settings.name == "sRGB"
    assert strip.elements[0].filename == "frame_0001.png", "and its clip with it"
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    assert scene().get("before") is None


def check_save_and_reopen() -> None:
    project = open_project("reopen")
    scene().frame_set(9)
    generate("a fox", frames=3)
    bpy.ops.wm.save_mainfile()
    moved = project.parent.with_name("moved away")
    project.parent.rename(moved)
    bpy.ops.wm.open_mainfile(filepath=str(moved / project.name))
    (strip,) = all_strips()
    assert part("blender.strips").span(strip) == (9, 12)
    assert _request(strip).prompt == "a fox"
    for element in strip.elements:
        assert Path(bpy.path.abspath(strip.directory), element.filename).is_file()


def _pixels(path: Path) -> tuple[tuple[int, int], list[int]]:
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    values = [round(value * 255) for value in image.pixels[:]]
    size = (image.size[0], image.size[1])
    bpy.data.images.remove(image)
    return size, values


def check_rendered_pixels_are_the_frames() -> None:
    project = open_project("pixels")
    strip = generate("a fox", frames=3, frame_start=1, width=64, height=48, seed=3)
    folder = Path(bpy.path.abspath(strip.directory))
    render = scene().render
    render.resolution_x, render.resolution_y, render.resolution_percentage = 64, 48, 100
    strip.transform.scale_x = strip.transform.scale_y = 1.0  # it was fitted into another picture size
    scene().frame_start, scene().frame_end = 1, 3
    if hasattr(render.image_settings, "media_type"):
        render.image_settings.media_type = "IMAGE"
    render.image_settings.file_format = "PNG"
    render.dither_intensity = 0.0
    render.filepath = str(project.parent / "out" / "f_")
    bpy.ops.render.render(animation=True, scene=scene().name)
    worst = 0
    for index in range(1, 4):
        size, wanted = _pixels(folder / f"frame_{index:04d}.png")
        shown_size, shown = _pixels(project.parent / "out" / f"f_{index:04d}.png")
        assert size == shown_size == (64, 48)
        worst = max(worst, max(abs(a - b) for a, b in zip(wanted, shown, strict=True)))
    FIGURES["largest difference of a rendered pixel, of 255"] = worst
    assert worst <= 1, worst


def check_generate_does_not_block() -> None:
    open_project("fluid")
    generate(frames=1)  # the backend runs
    begin = time.perf_counter()
    job = press_generate("a slow fox", frames=16, width=128, height=128)
    FIGURES["seconds of a click"] = time.perf_counter() - begin
    assert not job.ended
    assert bpy.app.timers.is_registered(part("machine.timer")._on_timer)
    phases = set()
    with ticks() as seen:
        while not job.ended:
            pump().tick()
            phases.add(pump().session.status(job).phase)
            time.sleep(0.01)
    assert job.state.name == "DONE", job
    assert {"painting", "refining"} <= phases, phases
    assert max(tick.bytes for tick in seen) == 0, "no frame comes over the wire, and none is written here"
    assert len(list(Path(job.folder).glob("frame_*.png"))) == 16
    assert max(tick.messages for tick in seen) <= part("machine.pump").MAX_MESSAGES
    FIGURES["largest tick"] = largest(seen)
    assert part("machine.timer")._on_timer() is None, "the timer ends when nothing is left to do"


def check_place_is_fixed_when_asked() -> None:
    open_project("place")
    scene().frame_set(30)
    job = press_generate("a fox", frames=2)
    scene().frame_set(99)
    scene().name = "Renamed"
    bpy.ops.ed.undo_push(message="Moved on")
    tick_until(lambda: job.ended)
    (strip,) = all_strips()
    assert part("blender.strips").span(strip) == (30, 32)


def check_two_jobs_at_once() -> None:
    open_project("two")
    one = press_generate("a fox", frames=2)
    two = press_generate("a hare", frames=2)
    assert pump().session.active[-2:] == [one, two]
    tick_until(lambda: one.ended and two.ended)
    assert sorted(strip.channel for strip in all_strips()) == [1, 2]
    assert {strip.name for strip in all_strips()} == {"a fox", "a hare"}


def check_new_seed_each_time() -> None:
    open_project("seeds")
    settings = scene().elevator
    job = press_generate("a fox", frames=1, seed=1, use_random_seed=True)
    assert job.request.seed == settings.seed != 1, "the field shows the seed that made the clip"
    tick_until(lambda: job.ended)
    bpy.ops.elevator.new_seed()
    assert settings.seed != job.request.seed


def check_styles_fill_the_list() -> None:
    open_project("styles")
    generate(frames=1)
    settings = scene().elevator
    names = [style.name for style in pump().session.backend.styles]
    assert settings.style == names[0]
    settings.style = names[1]
    assert settings.style_name == settings.style == names[1]
    settings.style_name = "gone"
    assert settings.style == "gone", "a style that another machine had stays visible"
    kept = list(Path(bpy.utils.extension_path_user(harness.MODULE)).glob("styles.json"))
    assert kept, "the list is kept for the next start"
    pictures = {style.thumbnail for style in pump().session.backend.styles}
    assert len(pictures) == len(names)
    tick_until(lambda: all(pump().style_list.picture(sha256) for sha256 in pictures))
    before = {path: path.stat().st_mtime_ns for path in kept[0].parent.glob("thumbnails/*.png")}
    bpy.ops.elevator.stop_backend()
    tick_until(lambda: pump().session.link.name == "NONE")
    generate("a fox", frames=1)
    after = {path: path.stat().st_mtime_ns for path in kept[0].parent.glob("thumbnails/*.png")}
    assert (before, len(before)) == (after, len(pictures)), "they are asked for once"


def check_unsaved_projects_keep_frames_too() -> None:
    bpy.ops.wm.read_homefile(use_empty=False)
    bpy.ops.ed.undo_push(message="Beginning")
    assert not bpy.data.filepath
    strip = generate("a fox", frames=2)
    folder = Path(strip.directory)
    assert folder.is_relative_to(HOME / "state" / "clips"), folder
    assert len(list(folder.glob("frame_*.png"))) == 2
    chosen = harness.PROJECTS / "chosen folder"
    bpy.context.preferences.addons[harness.MODULE].preferences.clips_folder = str(chosen)
    strip = generate("a hare", frames=2)
    bpy.context.preferences.addons[harness.MODULE].preferences.clips_folder = ""
    assert Path(strip.directory).is_relative_to(chosen), strip.directory


def check_length_and_size_are_said_and_made() -> None:
    """What the panel's fields for time and size mean, and the sentence below Generate."""
    open_project("panel's sizes")
    generate(frames=1)
    settings, properties, clip_panel = scene().elevator, part("blender.properties"), part("blender.panels.clip")
    style = properties.style_of(settings)
    scene().render.fps = 24
    settings.length, settings.seconds = "SECONDS", 2.0
    assert properties.frames_of(settings, style, scene()) == 16
    assert (
        clip_panel._sentence(settings, style, scene())
        == "16 frames of 64 × 64 pixels at 8 a second; in the edit 48 frames at 24, which is 2 s."
    )
    settings.length, settings.frames = "FRAMES", 30
    assert properties.frames_of(settings, style, scene()) == 10
    settings.rate = "CLIP"
    assert properties.frames_of(settings, style, scene()) == 30
    settings.rate, settings.length = "SCENE", "PREVIEW"
    scene().use_preview_range, scene().frame_preview_start, scene().frame_preview_end = True, 11, 34
    assert properties.frames_of(settings, style, scene()) == 8
    settings.length = "STRIP"
    scene().sequence_editor.active_strip = all_strips()[0]
    assert properties.frames_of(settings, style, scene()) == 1
    settings.size = "SCENE"
    scene().render.resolution_x, scene().render.resolution_y = 1920, 1080
    width, height = properties.size_of(settings, style, scene())
    assert (width % 16, height % 16) == (0, 0)
    assert abs(width / height - 16 / 9) < 0.15, (width, height)
    settings.size = "TYPED"
    settings.width = 64
    settings.width = 72
    assert settings.width == 80, "an arrow goes to the next size that the style makes"
    settings.width = 72
    assert settings.width == 64
    settings.width = 4000
    assert settings.width == style.max_size


def check_view_is_said() -> None:
    open_project("view")
    scene().view_settings.view_transform = "AgX"
    assert not part("blender.strips").view_shows_colors_as_they_are(scene())
    bpy.ops.elevator.use_standard_view()
    assert scene().view_settings.view_transform == "Standard"
