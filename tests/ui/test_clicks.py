"""What an artist does in a Blender with a window: clicks and keys, and pictures of what came of them in demo/ui.

The backend makes test pictures, which takes a few seconds for each clip.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.ui.window import Studio, Window, windows

pytestmark = [pytest.mark.ui, pytest.mark.timeout(900)]

GENERATE, CANCEL, TRY_AGAIN = "elevator.generate(", "elevator.cancel(", "elevator.try_again("
PREFERENCES = "bpy.context.preferences.addons['bl_ext.user_default.video_elevator'].preferences"
TRANSFORMING = "any(len(window.modal_operators) for window in bpy.context.window_manager.windows)"


def type_prompt(window: Window, prompt: str) -> None:
    """Into the panel's field, as a person does."""
    window.click("elevator.prompt")
    window.do("key", "ctrl+a", "sleep", 0.1, "type", "--delay", 20, prompt)
    window.do("sleep", 0.2, "key", "ctrl+Return" if is_textbox(window) else "Return", "sleep", 0.4)
    assert window.ask("scene().elevator.prompt") == prompt


def is_textbox(window: Window) -> bool:
    return bool(window.ask("'textbox' in bpy.types.UILayout.bl_rna.functions"))


def generate(window: Window, prompt: str, frame: int = 1) -> str:
    """A prompt and a click on Generate. Returns the new clip's job."""
    known = {clip["job"] for clip in window.clips}
    window.say(f"scene().frame_set({frame}); scene().elevator.prompt = {prompt!r}")
    window.click(GENERATE)
    (new,) = window.until(lambda: {clip["job"] for clip in window.clips} - known, 10)
    return new


def hold(window: Window) -> None:
    """Let the queue begin nothing, so that a clip is on its way for as long as the test needs."""
    window.say("bpy.ops.elevator.start_backend()")
    window.until(lambda: window.ask("bpy.ops.elevator.pause_queue.poll()"))
    window.say("bpy.ops.elevator.pause_queue()")


def let_go(window: Window) -> None:
    window.say("bpy.ops.elevator.resume_queue()")


def clip_of(window: Window, job: str) -> dict[str, object]:
    (clip,) = [clip for clip in window.clips if clip["job"] == job]
    return clip


def is_filled(window: Window, job: str) -> bool:
    """Whether a strip shows the clip's frames."""
    return any(
        clip["job"] == job and str(clip["files"][0]).startswith("frame_") for clip in window.clips if clip["files"]
    )


def is_made(studio: Studio, job: str) -> bool:
    """Whether the backend has finished it."""
    return (studio.home / "data" / "results" / job / "result.json").exists()


def no_overlap(window: Window) -> None:
    strips = [strip for strip in window.strips if not strip["inside"]]
    for one in strips:
        for other in strips:
            if one is not other and one["channel"] == other["channel"]:
                apart = (
                    one["first"] + one["length"] <= other["first"] or other["first"] + other["length"] <= one["first"]
                )
                assert apart, (one, other)


def select(window: Window, *names: str) -> None:
    """Select these strips alone, the first being active."""
    window.say(
        f"for strip in strips(): strip.select = strip.name in {names!r}\n"
        f"scene().sequence_editor.active_strip = next(s for s in strips() if s.name == {names[0]!r})\n"
        "bpy.ops.ed.undo_push(message='Selected')"
    )


def select_clip(window: Window, job: str) -> None:
    """Select a clip's strip alone. Its name changes as the clip goes on."""
    window.say(
        f"for strip in strips(): strip.select = strip.get('elevator_job') == {job!r}\n"
        "scene().sequence_editor.active_strip = next(s for s in strips() if s.select)\n"
        "bpy.ops.ed.undo_push(message='Selected')"
    )


def comes_to(window: Window, name: str, first: int) -> None:
    """A strip starts there, as soon as Blender has done what the keys said."""
    window.until(lambda: window.strip_named(name)["first"] == first, 20)


def test_first_clip(window: Window) -> None:
    window.open("first")
    window.until(lambda: window.ask("bool(scene().elevator.style_name or scene().elevator.style)"))
    type_prompt(window, "a pumpkin moving right")
    window.picture("first_panel", window.ask("boxes()")["UI"])
    window.click(GENERATE)
    (clip,) = window.until(lambda: window.clips, 10)
    window.picture("first_waiting")
    assert clip["channel"] > 4, "above the title and the plate (D6)"
    window.until(lambda: is_filled(window, clip["job"]))
    style_seconds = 2
    assert clip_of(window, clip["job"])["length"] == style_seconds * 24, "as long as it was made to be (D11)"
    no_overlap(window)


def test_a_clip_that_arrives_in_a_grab_waits_for_its_end(window: Window, studio: Studio) -> None:
    """D1."""
    window.open("grab")
    hold(window)
    job = generate(window, "a fox")
    select(window, "title")
    before = window.strip_named("title")
    window.over_timeline()
    window.keys("g")
    window.until(lambda: window.ask(TRANSFORMING), 10)
    let_go(window)
    window.do("mousemove_relative", 40, 12, "sleep", 0.3)
    window.until(lambda: is_made(studio, job))
    time.sleep(2)
    assert window.ask(TRANSFORMING)
    assert not is_filled(window, job)
    window.picture("grab_under_way")
    window.do("click", 1, "sleep", 0.5)
    window.until(lambda: is_filled(window, job))
    assert window.strip_named("title")["first"] != before["first"]
    window.over_timeline()
    window.keys("ctrl+z")
    comes_to(window, "title", before["first"])
    assert window.strip_named("title")["channel"] == before["channel"]
    no_overlap(window)


def test_what_can_be_redone_stays(window: Window) -> None:
    """D2."""
    window.open("redo")
    hold(window)
    job = generate(window, "a fox")
    select(window, "title")
    window.over_timeline()
    for _ in range(3):
        window.keys("g")
        window.do("type", "5")
        window.keys("Return")
    comes_to(window, "title", 36 + 15)
    window.keys("ctrl+z", "ctrl+z", "ctrl+z")
    comes_to(window, "title", 36)
    let_go(window)
    window.until(lambda: is_filled(window, job))
    window.over_timeline()
    window.keys("ctrl+shift+z", "ctrl+shift+z", "ctrl+shift+z")
    comes_to(window, "title", 36 + 15)
    window.until(lambda: is_filled(window, job))


def test_a_reverted_file_gets_its_clip(window: Window) -> None:
    """D3."""
    window.open("reverted")
    hold(window)
    job = generate(window, "a fox")
    window.say("bpy.ops.wm.save_mainfile()")
    window.say("scene().frame_set(50)")
    window.say("bpy.ops.wm.revert_mainfile()")
    let_go(window)
    window.until(lambda: is_filled(window, job))


def test_the_first_save_takes_the_frames_along(window: Window, studio: Studio) -> None:
    """D5."""
    window.new()
    job = generate(window, "a fox")
    window.until(lambda: is_filled(window, job))
    file = studio.projects / "now saved.blend"
    window.say(f"bpy.ops.wm.save_as_mainfile(filepath={str(file)!r})")
    folder = Path(str(clip_of(window, job)["folder"]))
    assert folder.is_relative_to(studio.projects / "elevator"), folder
    assert window.ask("[s.directory.startswith('//') for s in strips() if s.get('elevator_job')]") == [True]


def test_inside_a_meta_strip_it_stays_inside(window: Window) -> None:
    """D7."""
    window.open("meta")
    select(window, "plate", "below")
    window.over_timeline()
    window.keys("ctrl+g", "Tab")
    job = generate(window, "a fox", frame=20)
    window.until(lambda: is_filled(window, job))
    window.picture("meta_open")
    assert clip_of(window, job)["inside"]
    window.over_timeline()
    window.keys("Tab")


def test_a_muted_channel_is_left_alone(window: Window) -> None:
    """D8."""
    window.open("muted")
    window.say("scene().sequence_editor.channels[5].mute = True")
    job = generate(window, "a fox")
    assert clip_of(window, job)["channel"] == 6


def test_selection_stays_when_a_clip_arrives(window: Window) -> None:
    """D9."""
    window.open("selection")
    hold(window)
    job = generate(window, "a fox")
    select(window, "plate", "title")
    let_go(window)
    window.until(lambda: is_filled(window, job))
    assert {strip["name"] for strip in window.strips if strip["select"]} == {"plate", "title"}
    assert window.ask("scene().sequence_editor.active_strip.name") == "plate"


def test_a_clip_follows_the_edit(window: Window) -> None:
    """D10."""
    window.open("ripple")
    hold(window)
    job = generate(window, "a fox", frame=100)
    window.over_timeline()
    window.keys("a", "g")
    window.do("type", "60")
    window.keys("Return")
    let_go(window)
    window.until(lambda: is_filled(window, job))
    window.until(lambda: clip_of(window, job)["first"] == 160, 20)


def test_deleted_is_cancelled_and_undo_brings_it_back(window: Window) -> None:
    window.open("deleted")
    hold(window)
    job = generate(window, "a fox")
    select_clip(window, job)
    window.over_timeline()
    window.keys("Delete")
    window.until(lambda: not window.clips, 20)
    time.sleep(5)  # longer than it waits before it cancels
    window.keys("ctrl+z")
    window.until(lambda: window.clips, 20)
    let_go(window)
    window.until(lambda: is_filled(window, window.clips[0]["job"]))


def test_failures_stay_and_are_tried_again(window: Window) -> None:
    """D12."""
    window.open("failures")
    first = generate(window, "a fox fail:internal")
    second = generate(window, "a hare", frame=100)
    window.until(lambda: is_filled(window, second))
    assert [clip["job"] for clip in window.clips if not is_filled(window, clip["job"])] == [first]
    window.picture("failures_panel", window.ask("boxes()")["UI"])
    window.say("scene().elevator.prompt = 'a fox'")
    window.click(TRY_AGAIN)
    again = window.until(lambda: [clip["job"] for clip in window.clips if clip["job"] not in (first, second)], 20)
    assert again


def test_a_clip_is_seen_while_it_is_made(window: Window) -> None:
    window.open("previewed")
    job = generate(window, "a pumpkin slow:1")
    window.until(lambda: window.ask(f"part('machine.timer').the_pump().session.jobs[{job!r}].step > 8"))
    panel = window.ask("boxes()")["UI"]
    pages = set()
    for _ in range(12):
        pages.add(window.ask("part('blender.previews')._page"))
        time.sleep(0.1)
    assert len(pages) > 2, "its pages are turned though no step may end meanwhile"
    assert window.ask("part('blender.previews')._icons['page'].icon_id > 0")
    with_it = window.picture("preview_panel", panel).read_bytes()
    window.say(f"{PREFERENCES}.live_preview = False")
    window.until(lambda: window.ask("part('blender.previews')._book is None"), 5)
    assert window.picture("preview_off", panel).read_bytes() != with_it
    window.say(f"{PREFERENCES}.live_preview = True")
    window.until(lambda: window.ask("part('blender.previews')._book is not None"), 20)


def test_forty_jobs_are_a_short_list(window: Window) -> None:
    """D13."""
    window.open("forty")
    hold(window)
    window.say(
        "for k in range(40):\n"
        "    bpy.ops.elevator.generate('EXEC_DEFAULT', prompt=f'a fox {k}', frame_start=1 + 50 * k, wait=False)"
    )
    assert len(window.clips) == 40
    time.sleep(1)
    window.picture("forty_panel", window.ask("boxes()")["UI"])
    window.click('elevator.cancel(job="")')
    window.picture("forty_question")
    window.keys("Return")
    let_go(window)
    # A clip of an earlier test, whose file is not open, may be there still.
    window.until(lambda: window.ask(f"not {PUMP}.session.unfinished"))
    assert not [clip for clip in window.clips if is_filled(window, clip["job"])]


def test_the_queue_is_put_in_order_with_clicks(window: Window) -> None:
    window.open("order")
    hold(window)
    jobs = [generate(window, f"a fox {k}", 1 + 50 * k) for k in range(3)]
    order = f"[job.id for job in {PUMP}.session.lines if job.id in {jobs!r}]"

    def is_order(places: tuple[int, ...]) -> bool:
        return bool(window.ask(order) == [jobs[place] for place in places])

    window.until(partial(is_order, (0, 1, 2)))
    with alone(window, "QueuePanel", closed=False):
        for number, direction, wanted in ((2, "FIRST", (2, 0, 1)), (2, "DOWN", (0, 2, 1)), (1, "UP", (0, 1, 2))):
            place = window.ask(
                f"[line.name for line in bpy.context.window_manager.elevator_queue].index({jobs[number]!r})"
            )
            window.say(f"bpy.context.window_manager.elevator_queue_index = {place}")
            window.click(f"elevator.move_clip(job=\"{jobs[number]}\", direction='{direction}')")
            window.until(partial(is_order, wanted))
        window.picture("order_panel", window.ask("boxes()")["UI"])
    let_go(window)
    window.until(lambda: all(is_filled(window, job) for job in jobs))


def test_new_pictures_fill_the_scenes_rate(window: Window) -> None:
    """Scene's, Smooth: a clip of 12 frames at 24 a second has more than its own pictures."""
    window.open("smooth")
    window.say("scene().elevator.rate = 'FLOW'; scene().elevator.length = 'FRAMES'; scene().elevator.frames = 12")
    job = generate(window, "a fox")
    window.until(lambda: is_filled(window, job))
    clip = clip_of(window, job)
    assert clip["files"] == [f"frame_{index:04d}.png" for index in range(1, 13)]
    assert len({(Path(str(clip["folder"])) / name).read_bytes() for name in clip["files"]}) > 4
    no_overlap(window)


def test_the_panel_speaks_german(window: Window) -> None:
    """The buttons are found and clicked as in English."""
    window.open("german")
    view = "bpy.context.preferences.view"
    window.say(f"{view}.language = 'de_DE'; {view}.use_translate_interface = {view}.use_translate_tooltips = True")
    try:
        assert window.ask("bpy.app.translations.pgettext('No backend is connected.')") != "No backend is connected."
        job = generate(window, "a fox")
        window.until(lambda: is_filled(window, job))
        window.picture("german_panel", window.ask("boxes()")["UI"])
    finally:
        window.say(f"{view}.language = 'en_US'")


def test_a_killed_blender_gets_its_clip(studio: Studio) -> None:
    """D4."""
    with windows(studio, "killed") as (window,):
        file = window.open("killed")
        hold(window)
        job = generate(window, "a fox")
        window.say("bpy.ops.wm.save_mainfile()")
        window.kill()
        window.start(file)
        window.show_tab()
        window.until(lambda: window.ask("bpy.ops.elevator.resume_queue.poll()"))
        let_go(window)
        window.until(lambda: is_filled(window, job))
        window.picture("after_kill")


def test_a_waiting_blender_sees_the_next_backend(studio: Studio) -> None:
    """D14."""
    with windows(studio, "one", "two") as (one, two):
        one.open("one")
        two.open("two")
        hold(one)
        first, second = generate(one, "a fox"), generate(two, "a hare")
        backend = studio.backend
        assert backend is not None
        backend.kill()
        one.until(lambda: one.ask("not bpy.ops.elevator.pause_queue.poll()"), 30)
        one.say("bpy.ops.elevator.start_backend()")
        one.until(lambda: one.ask("bpy.ops.elevator.resume_queue.poll()"))
        let_go(one)
        one.until(lambda: is_filled(one, first))
        two.until(lambda: is_filled(two, second))
        two.picture("two_blenders")


@contextmanager
def alone(window: Window, panel: str, *, closed: bool = True) -> Iterator[None]:
    """The sidebar has this panel alone. One that is closed at first is opened by a click on its title."""
    room = "import sys, bpy\npanels = sys.modules['bl_ext.user_default.video_elevator.blender.panels'].CLASSES\n"
    window.say(
        f"{room}for each in reversed(panels):\n"
        f"    if issubclass(each, bpy.types.Panel) and each.__name__ != {panel!r}:\n"
        "        bpy.utils.unregister_class(each)\n"
    )
    window.do("sleep", 1)
    if closed:
        left, top, _, _ = window.ask("boxes()")["UI"]
        window.point(left + 60, top + 14)
        window.do("click", 1, "sleep", 1)
    try:
        yield
    finally:
        window.say(
            f"{room}for each in panels:\n    if not each.is_registered:\n        bpy.utils.register_class(each)\n"
        )


PUMP = "__import__('sys').modules['bl_ext.user_default.video_elevator.machine.timer'].the_pump()"


def test_models_are_shown_with_their_sizes(window: Window) -> None:
    """Nothing is downloaded: the sets come from the backend's own catalogue, as soon as the panel is opened."""
    window.open("models")
    with alone(window, "ModelsPanel"):
        window.until(lambda: window.ask(f"bool({PUMP}.models.sets) and not {PUMP}.models.running"))
        window.do("sleep", 1)
        window.picture("models", window.ask("boxes()")["UI"])
        assert window.ask(f"{PUMP}.models.problem is None")
        assert window.ask(f"len({PUMP}.models.sets)") > 3


def test_a_style_is_made_and_changed_with_clicks(window: Window) -> None:
    window.open("styles")
    job = generate(window, "a fox")
    window.until(lambda: is_filled(window, job))
    window.say("scene().elevator.style_name = 'neon'; scene().elevator.preset_name = 'draft'")
    with alone(window, "StylesPanel"):
        window.picture("styles", window.ask("boxes()")["UI"])
        window.click("elevator.new_style(")
        window.do("sleep", 0.5)
        window.picture("styles_new")
        window.keys("Return")
        window.until(lambda: window.ask("scene().elevator.style_name") == "my_neon")
        window.until(lambda: window.ask(f"any(style.name == 'my_neon' for style in {PUMP}.session.backend.styles)"))
        window.click("elevator.edit_style(")
        window.until(lambda: window.ask("bpy.context.window_manager.elevator_style.name") == "my_neon")
        window.do("sleep", 1)
        window.picture("styles_edited", window.ask("boxes()")["UI"])
        window.say("bpy.context.window_manager.elevator_style.title = 'Night'")
        window.click("elevator.save_style(")
        window.until(lambda: not window.ask("bpy.context.window_manager.elevator_style.name"))
        window.until(
            lambda: (
                window.ask(f"[style.title for style in {PUMP}.session.backend.styles if style.name == 'my_neon']")
                == ["Night"]
            )
        )
        assert window.ask(f"{PUMP}.styles.problem is None")
