"""What the panels Look and Advanced offer reaches the clip, and comes back from its strip."""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
from harness import (
    HOME,
    INSTALL_FILE,
    MODULE,
    PROJECTS,
    SLOW,
    addon_utils,
    all_strips,
    generate,
    lay,
    open_project,
    part,
    press_generate,
    pump,
    refuse,
    scene,
    tick_until,
    ticks,
)


def _loras(request: Any) -> dict[str, float]:
    return {lora.name: lora.weight for lora in request.loras}


def check_loras_reach_the_clip_and_come_back() -> None:
    open_project("loras")
    generate(frames=1)  # the styles are known
    settings = scene().elevator
    settings.style_name = "neon"
    for name in ("neon", "sketch", "pixel_art"):
        assert bpy.ops.elevator.add_lora(lora=name) == {"FINISHED"}
    assert round(settings.loras["neon"].weight, 2) == 0.9, "the style's own weight is proposed"
    settings.loras["neon"].on = False
    settings.loras["sketch"].weight = 0.35
    settings.loras["pixel_art"].on = False
    job = press_generate(frames=1)
    assert _loras(job.request) == {"neon": 0.0, "sketch": 0.35}, job.request.loras
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job.problem
    settings.lora_index = 1
    assert bpy.ops.elevator.remove_lora() == {"FINISHED"}
    assert [line.name for line in settings.loras] == ["neon", "pixel_art"]
    assert bpy.ops.elevator.settings_from_strip() == {"FINISHED"}
    assert [(line.name, line.on, round(line.weight, 2)) for line in settings.loras] == [
        ("neon", False, 1.0),
        ("sketch", True, 0.35),
    ]


def check_settings_reach_the_clip_and_come_back() -> None:
    open_project("settings")
    plan = scene().elevator.plan
    plan.guidance, plan.use_guidance = 6.2, True
    plan.chunk, plan.use_chunk = 2, True
    plan.lowpass, plan.use_lowpass = "temporal", True
    plan.alpha = 3.0  # not set
    job = press_generate(frames=1)
    assert job.request.settings == {"guidance": 6.2, "chunk": 2, "lowpass": "temporal"}, job.request.settings
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job.problem
    plan.use_guidance, plan.use_eta = False, True
    assert bpy.ops.elevator.settings_from_strip() == {"FINISHED"}
    assert (plan.use_guidance, plan.use_chunk, plan.use_lowpass, plan.use_eta) == (True, True, True, False)


def check_scripts_name_loras_and_settings() -> None:
    open_project("scripted")
    strip = generate(frames=1, style="plain", loras='{"neon": 0.5}', settings='{"guidance": 5}')
    request = part("blender.clips").ticket_of(strip).request
    assert (_loras(request), request.settings) == ({"neon": 0.5}, {"guidance": 5})
    assert refuse(prompt="a", loras="neon").startswith("The argument loras cannot be read")
    assert refuse(prompt="a", settings="[1]").startswith("The argument settings cannot be read")
    assert "no setting 'speed'" in refuse(prompt="a", frames=1, settings='{"speed": 1}')


def check_presets_say_how_long_they_take() -> None:
    open_project("presets")
    items = part("blender.properties")._preset_items(scene().elevator, bpy.context)
    assert items[0][1] == "Style's Own, Published"
    assert [item[1] for item in items[1:]] == [
        "Published: the longest",
        "Balanced: half of the longest",
        "Fast: a sixth of the longest",
        "Draft: a ninth of the longest",
    ], items


MOVIE = """
import sys, cv2, numpy
writer = cv2.VideoWriter(sys.argv[1], cv2.VideoWriter.fourcc(*"MJPG"), 12, (64, 48))
for index in range(24):
    writer.write(numpy.full((48, 64, 3), 10 * index, numpy.uint8))
writer.release()
"""


def _movie_strip(frame_start: int) -> Any:
    """A strip of a movie each of whose frames is 10 brighter than the last."""
    path = PROJECTS / "movie.avi"
    if not path.exists():
        python = json.loads(INSTALL_FILE.read_text(encoding="utf-8"))["python"]
        subprocess.run([python, "-c", MOVIE, str(path)], check=True)
    strips = part("blender.strips")
    holder = strips.open_holder(scene())
    return strips.strips_of(holder).new_movie(name="Plate", filepath=str(path), channel=1, frame_start=frame_start)


def _brightness(hashes: Any) -> list[int]:
    """Of the pictures that the backend has under these hashes, 0 … 255."""
    means = []
    for sha256 in hashes:
        (file,) = HOME.rglob(f"{sha256}.png")
        image = bpy.data.images.load(str(file))
        image.colorspace_settings.name = "Non-Color"
        pixels = image.pixels[:]
        means.append(round(255 * sum(pixels[0::4]) / len(pixels[0::4])))
        bpy.data.images.remove(image)
    return means


def check_a_movies_frame_is_found_in_trimmed_and_slowed_strips() -> None:
    open_project("frames")
    strips, strip = part("blender.strips"), _movie_strip(10)
    assert [strips.movie_frame(strip, frame) for frame in (10, 12, 33)] == [0, 2, 23]
    strip.frame_final_start, strip.frame_final_end = 15, 20
    assert [strips.movie_frame(strip, frame) for frame in (15, 19)] == [5, 9]
    strip.animation_offset_start = 4
    assert strips.movie_frame(strip, 15) == 4 + 5
    # One that was added at its own speed is longer than its movie: the panel of Blender does it, not the data.
    slowed = SimpleNamespace(
        left_handle=12,
        right_handle=50,
        frame_offset_start=2,
        frame_offset_end=8,
        frame_duration=24,
        animation_offset_start=0,
    )
    assert [strips.movie_frame(slowed, frame) for frame in (12, 13, 49, 90)] == [1, 1, 19, 23]


def check_a_movies_frames_are_the_footage() -> None:
    open_project("footage")
    generate(frames=1, frame_start=-10)  # the styles are known
    strip = _movie_strip(10)
    part("blender.strips").select_only(scene(), strip)
    assert bpy.ops.elevator.use_strip() == {"FINISHED"}
    settings = scene().elevator
    assert settings.source == "Plate"
    settings.use_footage, settings.strength, settings.anchor = True, 0.4, "STRIP"
    scene().frame_set(12)
    with ticks() as seen:
        job = press_generate(frames=4)
        assert job.state.name in ("HELD", "READING"), "the click waits for nothing"
        tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job.problem
    assert max(tick.bytes for tick in seen) == 0, "no picture goes through Blender"
    assert job.request.strength == 0.4
    told = _brightness(job.request.footage)
    assert all(abs(mean - 10 * index) <= 4 for mean, index in zip(told, (2, 3, 4, 5), strict=True)), told
    assert job.request.anchor == job.request.footage[0]
    (new,) = [strip for strip in part("blender.strips").every_strip(scene()) if strip.get("elevator_job") == job.id]
    ticket = part("blender.clips").ticket_of(new)
    assert ticket.request.footage == ()
    assert [picture.frame for picture in ticket.pictures.footage] == [2, 3, 4, 5]
    pump().do(pump().timeline.try_again(job.id, 77))
    again = list(pump().session.jobs.values())[-1]
    tick_until(lambda: again.ended)
    assert again.state.name == "DONE", again.problem
    assert (again.request.footage, again.request.seed) == (job.request.footage, 77)


def check_a_trimmed_image_strips_pictures_are_the_footage() -> None:
    open_project("images")
    plate = generate("a plate grain:20", frames=6, frame_start=1)  # no two frames alike, whatever the seed
    folder = part("blender.strips").folder(plate)
    plate.frame_final_start = 3
    strip = generate(frames=2, frame_start=4, footage=plate.name, strength=0.5)
    ticket = part("blender.clips").ticket_of(strip)
    assert [Path(picture.file) for picture in ticket.pictures.footage] == [
        folder / "frame_0004.png",
        folder / "frame_0005.png",
    ]
    job = pump().session.jobs[ticket.job]
    assert len(set(job.request.footage)) == 2


def check_a_strip_that_cannot_be_used_is_said() -> None:
    open_project("unusable")
    _movie_strip(10)
    strips = part("blender.strips")
    sound = lay("a waiting clip", frames=2, frame_start=10)
    refused = {
        "There is no strip Nothing.": {"footage": "Nothing"},
        "waits for its own clip": {"footage": sound.name, "frame_start": 10},
        "The clip needs frames 9 to 12 of the scene, and the strip Plate has 10 to 33.": {
            "footage": "Plate",
            "frame_start": 9,
        },
        "frames 31 to 34": {"footage": "Plate", "frame_start": 31},
        "has no picture at frame 40": {"anchor": "Plate", "frame_start": 40},
        "There is no picture /nowhere/x.png.": {"anchor_file": "/nowhere/x.png"},
    }
    before = len(list(strips.every_strip(scene())))
    for sentence, arguments in refused.items():
        said = refuse(prompt="a", frames=4, wait=False, **arguments)
        assert sentence in said, (sentence, said)
    assert len(list(strips.every_strip(scene()))) == before, "no strip was laid down"
    (PROJECTS / "broken.png").write_bytes(b"no picture")
    said = refuse(prompt="a", frames=1, anchor_file=str(PROJECTS / "broken.png"))
    assert "is not a readable picture" in said, said
    assert "Try Again" in said
    assert len(list(strips.every_strip(scene()))) == before, "a script that gets no clip leaves no strip"


def check_time_is_told_before_the_click() -> None:
    open_project("foreseen")
    generate(frames=2, style="plain", preset="draft")  # the backend has learned how long it takes
    estimates, settings = part("blender.estimates"), scene().elevator
    settings.prompt, settings.style_name, settings.preset_name = "a fox", "plain", "fast"
    clip = estimates.clip_of(settings, scene())
    estimates.want(clip)
    assert 0 < estimates.ask() <= estimates.REST_SECONDS, "not while something changes"
    assert pump().session.backend.foreseen.clip is None
    estimates._since -= 1
    assert estimates.ask() is None
    tick_until(lambda: pump().session.backend.foreseen.told is not None)
    told = pump().session.backend.foreseen.told
    assert pump().session.backend.foreseen.is_about(clip)
    assert told.seconds > 0, told
    items = part("blender.properties")._preset_items(settings, bpy.context)
    assert all(": about " in item[1] for item in items[1:]), items
    estimates.want(clip)
    assert not bpy.app.timers.is_registered(estimates.ask) or estimates.ask() is None, "it is known"
    plan = settings.plan
    plan.steps, plan.use_steps = 3, True
    clip = estimates.clip_of(settings, scene())
    assert not pump().session.backend.foreseen.is_about(clip)
    estimates.want(clip)
    estimates._since -= 1
    estimates.ask()
    tick_until(lambda: pump().session.backend.foreseen.told is not None)
    assert "refine names countdown" in pump().session.backend.foreseen.told.problem, "a fault is said before the click"
    settings.prompt = ""
    assert estimates.clip_of(settings, scene()) is None


def check_a_text_may_be_the_prompt() -> None:
    open_project("text")
    text = bpy.data.texts.new("Shot 3")
    text.write("a pumpkin\n  moving right,\nblue background\n")
    settings = scene().elevator
    settings.prompt_text = text
    job = press_generate("not this one", frames=1)
    assert job.request.prompt == "a pumpkin moving right, blue background"
    tick_until(lambda: job.ended)
    assert bpy.ops.elevator.settings_from_strip() == {"FINISHED"}
    assert settings.prompt_text is None
    assert settings.prompt == "a pumpkin moving right, blue background"


def check_texts_are_counted_in_signs() -> None:
    """Blender counts `maxlen` in bytes, of which a sign has up to four."""
    open_project("signs")
    settings, draft = scene().elevator, bpy.context.window_manager.elevator_style
    for sign in ("é", "東", "🦊"):
        settings.prompt = settings.negative_prompt = draft.prompt = sign * 2000
        draft.title = sign * 64
        assert settings.prompt == settings.negative_prompt == draft.prompt == sign * 2000
        assert draft.title == sign * 64
        assert refuse(prompt=sign * 2001).startswith("The prompt has 2001 characters. Shorten it to 2000.")
    settings.prompt = settings.negative_prompt = draft.prompt = draft.title = ""


class _Layout:
    """Takes what Blender's own layout takes, and nothing else."""

    def __getattr__(self, name: str) -> Any:
        function = bpy.types.UILayout.bl_rna.functions.get(name)
        assert function is not None, f"a layout has no {name}"
        taken = {each.identifier: each for each in function.parameters if not each.is_output}

        def call(*given: Any, **named: Any) -> Any:
            told = {**dict(zip(taken, given, strict=False)), **named}
            assert len(given) <= len(taken), (name, given)
            assert told.keys() <= taken.keys(), (name, told.keys() - taken.keys())
            for key in ("icon", "type"):
                if key in told:
                    assert told[key] in taken[key].enum_items, (name, told[key])
            for data, prop in (("data", "property"), ("dataptr", "propname"), ("search_data", "search_property")):
                if data in told:
                    assert told[prop] in told[data].bl_rna.properties, (name, told[prop])
            if name.startswith("operator"):
                namespace, operator = told["operator"].split(".")
                kind = getattr(getattr(bpy.ops, namespace), operator).get_rna_type()
                return SimpleNamespace(**dict.fromkeys(kind.properties.keys()))
            return _Layout()

        return call


def check_panels_ask_of_blender_what_it_has() -> None:
    open_project("layouts")
    strip = generate(frames=1)
    part("blender.strips").select_only(scene(), strip)
    settings = scene().elevator
    settings.prompt, settings.style_name = "a fox", "neon"
    bpy.ops.elevator.add_lora(lora="sketch")
    settings.loras.add().name = "gone"
    settings.use_footage, settings.anchor, settings.source = True, "FILE", "Nothing"
    part("blender.queue_lines").show(pump().session.jobs)
    _models_in_every_state()
    window_manager = bpy.context.window_manager
    draft = window_manager.elevator_style
    part("blender.style_draft").add_lora(draft, part("clip.style_content").LoraPart("x.pt", "/l/x.pt"))
    items = {
        "ELEVATOR_UL_queue": window_manager.elevator_queue,
        "ELEVATOR_UL_loras": settings.loras,
        "ELEVATOR_UL_style_loras": draft.loras,
    }
    for panel in part("blender.panels").CLASSES:
        if hasattr(panel, "draw_item"):
            for item in items[panel.bl_idname]:
                panel.draw_item(None, bpy.context, _Layout(), None, item, 0, None, "")
        else:
            panel.draw(SimpleNamespace(layout=_Layout()), bpy.context)
    styles_panel, styles = part("blender.panels.styles").StylesPanel, pump().styles
    for name in part("blender.panels.styles").WORKS:
        draft.name = "" if draft.name else "mine"
        styles._name, styles.problem = name, part("clip.job").Problem("It is broken.", "Mend it.")
        styles_panel.draw(SimpleNamespace(layout=_Layout()), bpy.context)
    draft.name = ""
    draft.loras.clear()
    pump().models = part("machine.model_commands").ModelCommands()
    pump().styles = part("machine.style_commands").StyleCommands()


def _models_in_every_state() -> None:
    """Some are here, some are on their way, some were found."""
    commands, models = part("machine.model_commands"), pump().models
    models.sets = tuple(commands.ModelSet("sd", "SD", "All of it", 5, missing, 8.0) for missing in (0, 3, 5))
    models.pairs = (commands.FoundPair("/m/a.ckpt", "/m/b.ckpt"),)
    models.progress, models._name = commands.Fetching(1, 5, 9.0), "get"
    models.problem = part("clip.job").Problem("It does not fit.", "Choose another.")
    part("blender.panels.models").ModelFilesMenu.draw(SimpleNamespace(layout=_Layout()), bpy.context)


class _Drawn:
    """Notes the pictures that are drawn."""

    def __init__(self) -> None:
        self.icons: list[int] = []

    @property
    def layout(self) -> _Drawn:
        return self

    def template_icon(self, icon_value: int, **_: Any) -> None:
        self.icons.append(icon_value)

    def column(self, **_: Any) -> _Drawn:
        return self

    row = box = column

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: SimpleNamespace()


def _pictures_drawn() -> int:
    """How many pictures the panel Clip shows."""
    drawn = _Drawn()
    part("blender.panels.clip").ClipPanel.draw(drawn, bpy.context)
    return len(drawn.icons)


def _datablocks() -> dict[str, int]:
    names = (each.identifier for each in bpy.data.bl_rna.properties if each.type == "COLLECTION")
    return {name: len(getattr(bpy.data, name)) for name in names}


@contextmanager
def _a_window() -> Iterator[tuple[Any, list[Any]]]:
    """The add-on's preferences and what is sent to the backend, as if somebody looked on."""
    own, previews = bpy.context.preferences.addons[MODULE].preferences, part("blender.previews")
    client, before, sent = pump()._client, previews.can_be_shown, []
    send = client.send
    client.send = lambda request: (sent.append(request), send(request))
    previews.can_be_shown = lambda: True
    own.live_preview = True
    try:
        yield own, sent
    finally:
        client.send, previews.can_be_shown = send, before
        own.live_preview = True  # and nobody looks on


def check_a_preview_is_shown_and_leaves_no_trace() -> None:
    open_project("previewed")
    generate(frames=1, frame_start=50)  # the backend is there
    session, previews, on_timer = pump().session, part("blender.previews"), part("machine.timer")._on_timer
    assert not session.previews, "without a window nobody sees them"
    with _a_window() as (own, sent):
        strip = lay(f"a fox {SLOW}", frames=4, frame_start=1)
        lay(f"a hare {SLOW}", frames=1, frame_start=100)
        assert [request.previews for request in sent] == [True, True]
        assert not part("blender.clips").ticket_of(strip).request.previews
        bpy.ops.ed.undo()  # the hare is gone, and may be brought back
        job, before = pump().session.jobs[_strip_at(1)["elevator_job"]], _datablocks()
        tick_until(lambda: on_timer() is not None and _pictures_drawn() > 0)
        assert job.phase not in ("waiting", "loading")
        assert job.preview.frames == 4
        book = previews._book
        assert book.pages == 4
        icon = previews._icons[previews.NAME]
        assert tuple(icon.image_size) == (book.width, book.height)
        assert array("i", icon.image_pixels).tobytes() == book.pixels(previews._page)
        assert _datablocks() == before
        assert len(all_strips()) == 2
        bpy.ops.ed.redo()
        assert len(all_strips()) == 3, "there is no undo step of it"
        own.live_preview = False
        assert sent[-1] == part("shared_protocol.messages").Watch(job=_job_at(100), previews=False)
        assert [request.job for request in sent[-2:]] == [job.id, _job_at(100)]
        on_timer()
        assert (job.preview, previews._book, _pictures_drawn()) == (None, None, 0)
        assert not press_generate("an owl", frames=1).previews
        assert not sent[-1].previews, "off asks for none"
    assert not session.previews
    for each in session.active:
        pump().do(session.cancel(each.id))
    tick_until(lambda: not session.active)


def _strip_at(start: int) -> Any:
    """The strip that begins there."""
    span = part("blender.strips").span
    return next(strip for strip in all_strips() if span(strip)[0] == start)


def _job_at(start: int) -> str:
    """The job of the strip that begins there."""
    return str(_strip_at(start)["elevator_job"])


def check_pages_of_a_preview_are_turned_by_time() -> None:
    open_project("turned")
    previews, book = part("blender.previews"), part("clip.flip_book")
    job = SimpleNamespace(preview=part("clip.job").Preview(_png(2, 1, bytes([0, 1, 2, 3, 4, 5, 6])), 2))
    clock = SimpleNamespace(now=1e9)
    clock.monotonic = lambda: clock.now
    before, previews.time = previews.time, clock
    try:
        assert not previews.turn(job), "nobody has drawn it"
        assert _pictures_drawn() == 0
        drawn = _Drawn()
        previews.draw(drawn)
        for shown in range(3):
            turned = previews.turn(job), previews.turn(job)
            assert turned == (True, False), "it is drawn anew when the page is another"
            pixel = array("i", previews._icons[previews.NAME].image_pixels).tobytes()
            assert pixel == (b"\1\2\3\xff", b"\4\5\6\xff")[shown % 2]
            clock.now += 1 / book.PAGES_PER_SECOND
        previews.draw(drawn)
        assert len(drawn.icons) == 1
        clock.now += previews.LOOK_SECONDS + 1
        previews.turn(job)
        assert previews._book is None, "what nobody draws is not kept up"
        job.preview = part("clip.job").Preview(b"no picture", 2)
        previews.draw(drawn)
        previews.turn(job)
        previews.draw(drawn)
        assert len(drawn.icons) == 1
    finally:
        previews.time = before
    addon_utils.disable(MODULE)
    assert previews._icons is None, "Blender has its pictures back"
    addon_utils.enable(MODULE, default_set=True)


def _png(width: int, height: int, lines: bytes) -> bytes:
    chunks = (b"IHDR", struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(lines))
    packed = (struct.pack(">I", len(content)) + kind + content + b"0000" for kind, content in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
