"""The tab in the sequencer's sidebar and the entry in its Add menu."""
# mypy: disable-error-code="misc, no-any-return"

from __future__ import annotations

import time
from typing import Any, ClassVar

import bpy

from ..clip import words
from ..clip.job import Job, Problem, State
from ..clip.link import Link
from ..machine import backend_process
from ..machine.timer import the_pump
from . import layouts, strips
from .operators import GenerateClip
from .properties import style_of

LOOK_AGAIN_SECONDS = 2.0


class _SidebarPanel:
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Elevator"


class ClipPanel(_SidebarPanel, bpy.types.Panel):
    """What to generate, and what is being generated"""

    bl_idname = "ELEVATOR_PT_clip"
    bl_label = "Generate Clip"

    def draw(self, context: Any) -> None:
        layout = self.layout
        scene = strips.sequencer_scene(context)
        if scene is None:
            layouts.text(layout, context, "Choose a scene in the sequencer's header first.", icon="INFO")
            return
        settings = scene.elevator
        _draw_wish(layout, context, settings)
        row = layout.row()
        row.scale_y = 1.5
        row.operator_context = "INVOKE_DEFAULT"
        row.operator(GenerateClip.bl_idname, icon="RENDER_ANIMATION")
        _draw_problem(layout, context)
        session = the_pump().session
        for job in session.active:
            _draw_active(layout, context, job)
        if session.active and (session.queue.stopped or session.queue.paused):
            layout.operator("elevator.resume_queue", icon="PLAY")
        _draw_advice(layout, context, scene)  # above the last clip, whose warnings would push its button out of sight
        ended = [job for job in session.jobs.values() if job.ended]
        if ended:
            _draw_ended(layout, context, ended[-1])


class BackendPanel(_SidebarPanel, bpy.types.Panel):
    """Whether the backend runs"""

    bl_idname = "ELEVATOR_PT_backend"
    bl_label = "Backend"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        session = the_pump().session
        match session.link:
            case Link.READY:
                state = "It is ready" + (f" and works on {session.device}." if session.device != "none" else ".")
            case Link.NONE:
                state = "It starts with the first Generate."
            case _:
                state = "It is starting."
        layouts.text(self.layout, context, state)
        row = self.layout.row(align=True)
        row.operator("elevator.start_backend", text="Start")
        row.operator("elevator.stop_backend", text="Stop")


def _draw_wish(layout: Any, context: Any, settings: Any) -> None:
    column = layout.column()
    column.prop(settings, "prompt", text="", icon="OUTLINER_OB_FONT", **_placeholder("What the clip shows"))
    column.prop(settings, "negative_prompt", text="", icon="X", **_placeholder("What it must not show"))
    _fields(layout).prop(settings, "style")
    style = style_of(settings)
    if style is not None and style.description:
        layouts.text(layout, context, style.description)
    layout.prop(settings, "use_style_size")
    if not settings.use_style_size:
        column = _fields(layout)
        for name in ("frames", "width", "height"):
            column.prop(settings, name)
    elif style is not None:
        layouts.text(layout, context, f"{words.frames(style.frames)} of {style.width} × {style.height} pixels")
    row = _fields(layout).row(align=True)
    row.prop(settings, "seed")
    row.operator("elevator.new_seed", text="", icon="FILE_REFRESH")
    layout.prop(settings, "use_random_seed")


def _fields(layout: Any) -> Any:
    """A column in which names stand left of their fields."""
    column = layout.column(align=True)
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def _placeholder(text: str) -> dict[str, str]:
    return {"placeholder": text} if "placeholder" in bpy.types.UILayout.bl_rna.functions["prop"].parameters else {}


def _draw_problem(layout: Any, context: Any) -> None:
    problem = the_pump().session.problem or _installation.problem()
    if problem is not None:
        layouts.problem(layout, context, problem.sentence, problem.next_step, problem.command)


def _draw_active(layout: Any, context: Any, job: Job) -> None:
    session = the_pump().session
    box = layout.box()
    layouts.text(box, context, job.wish.prompt)
    box.progress(factor=job.fraction, type="BAR", text=f"{job.fraction:.0%}" if job.steps else "")
    status = session.status(job)
    layouts.text(box, context, status.line)
    box.label(
        text=status.detail[:1].upper() + status.detail[1:]
    )  # a line even if empty, so that nothing below it jumps
    _draw_warnings(box, context, job)
    if session.waits(job):
        box.operator("elevator.start_backend", icon="PLAY")
    row = box.row()
    row.enabled = job.cancel_asked is None
    row.operator("elevator.cancel", icon="CANCEL").job = job.id


def _draw_ended(layout: Any, context: Any, job: Job) -> None:
    session = the_pump().session
    if job.state is State.FAILED and session.problem is not None and job.problem == session.problem:
        return  # it stands above already
    box = layout.box()
    layouts.text(box, context, job.wish.prompt)
    icon = {State.DONE: "CHECKMARK", State.FAILED: "ERROR", State.CANCELLED: "CANCEL"}[job.state]
    layouts.text(box, context, session.status(job).line, icon=icon)
    if job.problem is not None and job.problem.next_step:
        layouts.text(box, context, job.problem.next_step, icon="FORWARD")
    _draw_warnings(box, context, job)
    if job.written:
        box.operator("elevator.open_folder", icon="FILE_FOLDER").folder = job.folder


def _draw_warnings(layout: Any, context: Any, job: Job) -> None:
    for warning in job.warnings:
        if warning != the_pump().session.queue.stopped:  # it stands above already
            layouts.text(layout, context, warning, icon="INFO")


def _draw_advice(layout: Any, context: Any, scene: Any) -> None:
    if not bpy.data.filepath:
        layouts.text(layout, context, "Save the .blend to keep the frames beside it.", icon="INFO")
    if not strips.view_shows_colors_as_they_are(scene):
        sentence = f"The view transform {scene.view_settings.view_transform} changes the colors of clips."
        layouts.text(layout, context, sentence, icon="INFO")
        layout.operator("elevator.use_standard_view")


class _Installation:
    """Whether the backend is installed, looked up now and then: drawing must not read files all the time."""

    def __init__(self) -> None:
        self._looked = float("-inf")
        self._problem: Problem | None = None

    def problem(self) -> Problem | None:
        if time.monotonic() - self._looked > LOOK_AGAIN_SECONDS:
            self._looked = time.monotonic()
            try:
                backend_process.find()
            except backend_process.BackendError as error:
                self._problem = Problem(error.sentence, error.next_step, error.command)
            else:
                self._problem = None
        return self._problem


_installation = _Installation()


def _draw_add_menu(menu: Any, _context: Any) -> None:
    menu.layout.separator()
    menu.layout.operator_context = "INVOKE_DEFAULT"
    menu.layout.operator(GenerateClip.bl_idname, text="Generated Clip", icon="RENDER_ANIMATION")


CLASSES = (ClipPanel, BackendPanel)


def register() -> None:
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.SEQUENCER_MT_add.append(_draw_add_menu)


def unregister() -> None:
    bpy.types.SEQUENCER_MT_add.remove(_draw_add_menu)
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
