"""The add-on leaves nothing behind."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import bpy
from harness import FIGURES, MODULE, addon_utils, generate, open_project, part, press_generate, pump, scene, tick_until

HANDLERS = (
    "load_pre",
    "load_post",
    "load_post_fail",
    "undo_post",
    "redo_post",
    "save_pre",
    "depsgraph_update_post",
)


def _traces() -> dict[str, Any]:
    handlers = [
        handler
        for name in HANDLERS
        for handler in getattr(bpy.app.handlers, name)
        if handler.__module__.startswith(MODULE)
    ]
    menu = [draw for draw in bpy.types.SEQUENCER_MT_add._dyn_ui_initialize() if draw.__module__.startswith(MODULE)]
    return {
        "types": sorted(name for name in dir(bpy.types) if name.lower().startswith("elevator_")),
        "operators": sorted(name for name in dir(bpy.ops.elevator) if not name.startswith("_")),
        "scene": hasattr(bpy.types.Scene, "elevator"),
        "handlers": len(handlers),
        "menu": len(menu),
    }


NOTHING = {"types": [], "operators": [], "scene": False, "handlers": 0, "menu": 0}


def check_unregister_leaves_nothing() -> None:
    open_project("nothing")
    generate("a fox", frames=1)
    registered = _traces()
    assert registered["types"], registered
    assert registered["handlers"] == len(HANDLERS)
    assert registered["menu"] == 1
    timer = part("machine.timer")._on_timer
    for _ in range(2):
        job = press_generate("a fox", frames=1)  # it is left to the backend
        pump().tick()
        assert not job.ended
        assert bpy.app.timers.is_registered(timer)
        addon_utils.disable(MODULE)
        assert _traces() == NOTHING, _traces()
        assert not bpy.app.timers.is_registered(timer)
        _call_what_is_registered_no_more()
        addon_utils.enable(MODULE, default_set=True)
        assert _traces() == registered
        timer = part("machine.timer")._on_timer
        generate("a fox", frames=1)


def _call_what_is_registered_no_more() -> None:
    """Blender may have begun a call when the add-on went."""
    timer = part("machine.timer")
    for handler in set(timer._HANDLERS.values()) - {timer._on_depsgraph_update_post}:
        handler("/nowhere/x.blend")
    timer._ask_for_styles()
    timer._ask_for_models()
    assert timer._on_timer() is None
    said = ""
    try:
        pump()
    except RuntimeError as error:
        said = str(error)
    assert said == "The add-on is not registered."


def check_panels_are_drawn_when_something_has_changed() -> None:
    open_project("drawn anew")
    generate("a fox", frames=1)
    timer, strips, drawn = part("machine.timer"), part("blender.strips"), []
    real, strips.redraw = strips.redraw, lambda *_: drawn.append(1)
    try:
        pump().session.changed = True
        for _ in range(3):
            timer._on_timer()
        assert (len(drawn), pump().session.changed) == (1, False)
    finally:
        strips.redraw = real


def check_whatever_is_edited_is_looked_at() -> None:
    open_project("edited")
    timer, timers = part("machine.timer"), bpy.app.timers
    real = timer.bpy
    if timers.is_registered(timer._on_timer):
        timers.unregister(timer._on_timer)
    timer.bpy = SimpleNamespace(app=SimpleNamespace(timers=timers, is_job_running=lambda kind: kind == "RENDER"))
    try:
        timer._on_depsgraph_update_post()
        assert not timers.is_registered(timer._on_timer), "not during a render"
    finally:
        timer.bpy = real
    timer._on_depsgraph_update_post()
    assert timers.is_registered(timer._on_timer)
    timer._on_depsgraph_update_post()
    timers.unregister(timer._on_timer)
    assert not timers.is_registered(timer._on_timer), "once"


def check_what_somebody_looks_for_is_asked_for_once() -> None:
    open_project("asked")
    timer, timers = part("machine.timer"), bpy.app.timers
    real = timer.bpy
    timer.bpy = SimpleNamespace(app=SimpleNamespace(background=False, timers=timers))
    timer._asked.clear()
    try:
        for ask, question in (
            (timer.ask_for_styles, timer._ask_for_styles),
            (timer.ask_for_models, timer._ask_for_models),
        ):
            ask()
            assert timers.is_registered(question)
            timers.unregister(question)
            ask()
            assert not timers.is_registered(question), "nothing is asked for twice by itself"
    finally:
        timer.bpy = real
    pump().do(pump().session.part())
    timer._ask_for_styles()
    tick_until(lambda: pump().session.link.name == "READY")
    timer._ask_for_models()
    assert pump().models.running == "list"
    pump().models.close()


def check_enabling_again_imports_nothing() -> None:
    """What is imported is what enabling costs: the first time no more than ours and the wheels, later nothing."""
    ours = [name for name in sys.modules if name.startswith(MODULE)]
    assert len(ours) < 125, len(ours)
    assert not {"torch", "PIL", "cv2"} & sys.modules.keys()
    addon_utils.disable(MODULE)
    before = set(sys.modules)
    begin = time.process_time()
    addon_utils.enable(MODULE, default_set=True)
    FIGURES["milliseconds of enabling in a warm Blender"] = round(1000 * (time.process_time() - begin), 1)
    assert set(sys.modules) == before, set(sys.modules) - before


def check_no_threads_of_ours() -> None:
    open_project("threads")
    generate("a fox", frames=1)
    assert [thread.name for thread in threading.enumerate()] == ["MainThread"]


def check_descriptors_stay_constant() -> None:
    if sys.platform != "linux":
        return
    open_project("descriptors")

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    generate("a fox", frames=1)
    before = count()
    for _ in range(3):
        addon_utils.disable(MODULE)
        addon_utils.enable(MODULE, default_set=True)
        generate("a fox", frames=1)
    assert count() <= before, (before, count())


def check_scripts_path_is_left_alone() -> None:
    own = os.path.dirname(os.path.abspath(part("blender.strips").__file__))
    assert not any(os.path.abspath(path).startswith(own) for path in sys.path)


def check_panels_draw() -> None:
    """Drawn for real in the user interface only; here every line of it runs against a layout that takes all."""
    messages = part("shared_protocol.messages")
    open_project("drawn")
    panels = part("blender.panels")
    for prompt, finish in (("a fox", True), ("a fox fail:hang", False)):
        job = press_generate(prompt, frames=1)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not (job.ended or (not finish and job.steps)):
            pump().tick()
            time.sleep(0.005)
        for panel in panels.CLASSES:
            if hasattr(panel, "draw_item"):
                panel.draw_item(
                    _Anything(), bpy.context, _Anything(), None, SimpleNamespace(name=job.id, on=True), 0, None, ""
                )
            else:
                panel.draw(_Anything(), bpy.context)
    scene().view_settings.view_transform = "AgX"
    pump().session.backend.queue = messages.QueueState(stopped="The disk is full.")
    part("blender.panels.clip").ClipPanel.draw(_Anything(), bpy.context)
    pump().session.backend.queue = messages.QueueState()
    pump().do(pump().session.cancel(job.id))
    part("blender.panels.clip").ClipPanel.draw(_Anything(), bpy.context)
    tick_until(lambda: job.ended)
    pump().do(pump().session.refuse(part("clip.job").Problem("A sentence.", "A step.", "a command")))
    part("blender.panels.clip").ClipPanel.draw(_Anything(), bpy.context)
    part("blender.preferences").Preferences.draw(_Anything(), bpy.context)
    scene().elevator.prompt_text = bpy.data.texts.new("Prompt")
    part("blender.panels.clip").ClipPanel.draw(_Anything(), bpy.context)
    panels._draw_add_menu(_Anything(), bpy.context)


def check_panels_are_told_in_german() -> None:
    """The bpy module is built without languages, so that Blender's own lookup is stood in for."""
    translations = part("blender.translations")
    before = translations._looked_up
    german = translations.CATALOGUES["de_DE"]
    translations._looked_up = lambda text: german.get(text, text)
    layouts = part("blender.layouts")
    layout = _Writing()
    try:
        phrase = part("clip.words").Phrase
        layouts.text(layout, bpy.context, phrase("{count} more in the queue.", count=3))
        layouts.text(layout, bpy.context, phrase("{phase}, {amount}", phase=phrase("Painting"), amount="3"))
        layouts.text(layout, bpy.context, "Cancel", translate=False)
        several = part("clip.words").sentences("Press Try Again.", phrase("{count} clips", count=2))
        assert translations.told(several) == "Drücke Noch einmal versuchen. 2 Clips", translations.told(several)
        gone = phrase("The folder {folder} is gone.", folder="/clips")
        problem = translations.told_problem(part("clip.job").Problem(gone, "Press Try Again.", "a command"))
        assert problem == "Den Ordner /clips gibt es nicht mehr. Drücke Noch einmal versuchen. a command", problem
        open_project("german")
        generate("Painting", frames=1)
        part("blender.panels.finished").StripPanel.draw(layout, bpy.context)
        part("blender.panels.clip").ClipPanel.draw(layout, bpy.context)
        styles = part("blender.properties")._style_items(scene().elevator, bpy.context)
        assert "Dunkle Bleistiftlinien, leicht schattiert, auf Cremepapier." in {style[2] for style in styles}
        part("blender.panels.backend").BackendPanel.draw(layout, bpy.context)
        layouts.text(layout, bpy.context, "The backend is starting.")
    finally:
        translations._looked_up = before
    said = " ".join(layout.said)
    assert said.startswith("3 weitere in der Warteschlange. Es wird gemalt, 3 Cancel Painting "), said
    assert "Startwert" in said, said
    assert "Das Backend ist bereit." in said, said
    assert said.endswith("Das Backend startet."), said


def check_catalogue_is_blenders() -> None:
    """It takes every entry, and lets go of them all."""
    translations = part("blender.translations")
    translations.unregister()
    translations.register()


class _Writing:
    """A layout that notes what is written into it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @property
    def layout(self) -> _Writing:
        return self

    def label(self, text: str = "", **_: Any) -> None:
        self.said.append(text)

    label_multiline = label

    def column(self, **_: Any) -> _Writing:
        return self

    box = row = column

    def __getattr__(self, name: str) -> _Anything:
        return _Anything()


class _Anything:
    """Takes every call and every attribute."""

    clips_folder = ""
    folder_template = "//elevator/{job}"

    def __getattr__(self, name: str) -> _Anything:
        return _Anything()

    def __call__(self, *arguments: Any, **more: Any) -> _Anything:
        return _Anything()
