"""The demo inside Blender; install.py starts it. Not part of the extension.

    python demo.py -- request.json        with the bpy module
    blender -b --python demo.py -- request.json

It does what a person would: install the extension's zip, choose words, press Generate, render, save. What it has to
say goes to standard output as lines that begin with PREFIX.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

PREFIX = "elevator-demo "
MODULE = "bl_ext.user_default.video_elevator"
FILM_PX = 512
"""Longer side of the film: the clip is shown in whole multiples of its pixels."""
SHEET_PX = 192
"""Longer side of a picture on the contact sheet."""
SMALL_PX = 128
"""The same where there are several clips."""
SHEET_COLUMNS = 4
GAP_PX = 8
FPS = 8
WAIT_S = 0.05
ALL = "all"
"""In place of a style's name: a clip in each."""


def tell(**content: Any) -> None:
    """Say something to install.py."""
    print(PREFIX + json.dumps(content), file=sys.__stdout__, flush=True)


def tell_step(line: str, phase: str) -> None:
    """Say what is done now that no clip is being made."""
    tell(status={"line": line, "detail": "", "phase": phase})


class _StatusTeller:
    """Passes on where a clip is, as often as that changes."""

    def __init__(self) -> None:
        self._told: Any = None

    def __call__(self, status: Any) -> None:
        if status != self._told:
            self._told = status
            tell(status=dataclasses.asdict(status))


def main(request: dict[str, Any]) -> None:
    """Everything, in order."""
    _let_wheels_come_first()
    import bpy

    folder = Path(request["folder"])
    bpy.ops.wm.read_factory_settings(app_template="Video_Editing")
    bpy.context.preferences.filepaths.save_version = 0  # no demo.blend1
    _install(request["zip"])
    scene = _new_scene()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "demo.blend"))  # frames go beside a saved file
    strips = importlib.import_module(f"{MODULE}.blender.strips")
    ticket_of = importlib.import_module(f"{MODULE}.blender.clips").ticket_of
    made = []
    for style, example in _styles(request["style"]):
        made.append(_generate(scene, request, style, request["prompt"] or example))
        scene.frame_set(strips.span(made[-1])[1])  # the next one goes behind it
    clips = [
        [folder / Path(bpy.path.abspath(strip.directory)) / element.filename for element in strip.elements]
        for strip in made
    ]
    tell_step("Drawing the contact sheet", "contact sheet")
    _draw_contact_sheet(clips, folder / "contact_sheet.png")
    tell_step("Rendering the film", "film")
    _fit_scene(scene, made, strips, clips[0][0])
    _render_film(scene, folder / "demo.mp4")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "demo.blend"))
    tell(
        made={
            "frames": sum(len(frames) for frames in clips),
            "strips": len(made),
            "prompt": ticket_of(made[0]).request.prompt,
            "folders": [frames[0].parent.relative_to(folder).as_posix() for frames in clips],
            "fps": scene.render.fps,
            "blender": "{}.{}".format(*bpy.app.version),
        }
    )


def _let_wheels_come_first() -> None:
    # Blender looks into the folder of extensions' wheels before others if it is there at the start.
    import os

    profile = os.environ.get("BLENDER_USER_RESOURCES")
    if profile:
        python = "python{}.{}".format(*sys.version_info)
        Path(profile, "extensions", ".local", "lib", python, "site-packages").mkdir(parents=True, exist_ok=True)


def _install(zip_file: str) -> None:
    import addon_utils
    import bpy

    tell_step("Installing the extension", "extension")
    if not addon_utils.check("bl_pkg")[1]:
        addon_utils.enable("bl_pkg", default_set=True)  # Blender's own add-on that installs extensions
    bpy.ops.extensions.package_install_files(filepath=zip_file, repo="user_default", enable_on_install=True)
    if not addon_utils.check(MODULE)[1]:
        raise RuntimeError("Blender did not enable the extension")
    print("pyzmq from", importlib.import_module("zmq").__file__)  # for the log: not from Blender's own environment


def _new_scene() -> Any:
    import bpy

    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = FILM_PX
    scene.render.resolution_percentage = 100
    scene.render.fps, scene.render.fps_base = FPS, 1.0
    scene.view_settings.view_transform = "Standard"  # AgX would wash the colours out
    scene.frame_set(1)
    return scene


def _pump() -> Any:
    return importlib.import_module(f"{MODULE}.machine.timer").the_pump()


def _generate(scene: Any, request: dict[str, Any], style: str, prompt: str) -> Any:
    """Press Generate and wait. Returns the strip."""
    import bpy

    strips = importlib.import_module(f"{MODULE}.blender.strips")
    before = set(strips.every_strip(scene))
    wish = {"prompt": prompt, "seed": request["seed"], "style": style}
    if request["frames"]:
        wish["frames"] = request["frames"]
    if request["size"]:
        wish["width"] = wish["height"] = request["size"]
    pump = _pump()
    pump.on_status = _StatusTeller()
    bpy.ops.elevator.generate("EXEC_DEFAULT", **wish)
    for warning in list(pump.session.jobs.values())[-1].warnings:
        tell(note=warning)
    new = [strip for strip in strips.every_strip(scene) if strip not in before]
    if len(new) != 1:
        raise RuntimeError(f"there should be one new strip and there are {len(new)}")
    return new[0]


def _styles(name: str) -> list[tuple[str, str]]:
    """The style to use, or for "all" every one of the first style's models; with words that its models know well."""
    known = _told_styles()
    if name == ALL:
        return [(style.name, style.example_prompt) for style in known if style.base == known[0].base]
    if not name:
        return [(known[0].name, known[0].example_prompt)]
    examples = {style.name: style.example_prompt for style in known}
    return [(name, examples.get(name, known[0].example_prompt))]  # of an unknown one the add-on says so


def _told_styles() -> Any:
    """What the backend offers."""
    tell_step("Connecting to the backend", "connecting")
    pump = _pump()
    pump.do(pump.session.start())
    while pump.session.busy:
        pump.tick()
        pump.wait(WAIT_S)
    if (problem := pump.session.problem) is not None:
        raise RuntimeError(f"{problem.sentence} {problem.next_step}".strip())
    if not pump.session.backend.styles:
        raise RuntimeError("The backend offers no style.")
    return pump.session.backend.styles


def _fit_scene(scene: Any, made: list[Any], strips: Any, frame: Path) -> None:
    """Let the scene show the clips alone, each of their pixels as a whole square."""
    import bpy

    image = bpy.data.images.load(str(frame))
    width, height = image.size
    bpy.data.images.remove(image)
    times = max(1, FILM_PX // max(width, height))
    scene.render.resolution_x, scene.render.resolution_y = width * times, height * times
    for strip in made:
        strip.transform.filter = "NEAREST"
        strip.transform.scale_x = strip.transform.scale_y = times
    scene.frame_start, scene.frame_end = strips.span(made[0])[0], strips.span(made[-1])[1] - 1


def _render_film(scene: Any, path: Path) -> None:
    import bpy

    render = scene.render
    render.use_sequencer = True
    render.use_file_extension = False
    if hasattr(render.image_settings, "media_type"):  # from Blender 5.0 on
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format = "MPEG4"
    render.ffmpeg.codec = "H264"
    render.ffmpeg.constant_rate_factor = "HIGH"
    render.ffmpeg.audio_codec = "NONE"
    render.filepath = str(path)
    bpy.ops.render.render(animation=True, scene=scene.name)
    render.filepath = f"//{path.name}"


def _draw_contact_sheet(clips: list[list[Path]], path: Path) -> None:
    """All frames of a single clip in rows, enlarged; of several clips every second frame, a row for each."""
    import bpy
    import numpy as np

    several = len(clips) > 1
    pictures = [_pixels(frame) for frames in clips for frame in frames[:: 2 if several else 1]]
    height, width = pictures[0].shape[:2]
    times = max(1, (SMALL_PX if several else SHEET_PX) // max(width, height))
    columns = len(pictures) // len(clips) if several else min(SHEET_COLUMNS, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    cell_w, cell_h = width * times + GAP_PX, height * times + GAP_PX
    sheet = np.ones((rows * cell_h + GAP_PX, columns * cell_w + GAP_PX, 4), np.float32)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        top, left = GAP_PX + row * cell_h, GAP_PX + column * cell_w
        sheet[top : top + height * times, left : left + width * times] = picture.repeat(times, 0).repeat(times, 1)
    image = bpy.data.images.new("contact sheet", sheet.shape[1], sheet.shape[0])
    image.pixels.foreach_set(sheet[::-1].ravel())  # Blender counts rows from below
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)


def _pixels(frame: Path) -> Any:
    """A picture as (height, width, 4), first row on top."""
    import bpy
    import numpy as np

    image = bpy.data.images.load(str(frame))
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1]


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8"))
    try:
        main(told)
    except RuntimeError as error:  # how Blender's operators refuse; the text is theirs
        tell(problem=str(error).removeprefix("Error: ").strip())
