"""The tab in the sequencer's sidebar and the entry in its Add menu."""
# mypy: disable-error-code="misc, no-any-return"

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any, ClassVar

import bpy

from ..clip import words
from ..clip.job import Job, Problem, State
from ..clip.link import Link
from ..machine import backend_process
from ..machine.timer import ask_for_styles, the_pump
from . import clips, layouts, strips
from .operators import GenerateClip
from .properties import frames_of, size_of, style_of

LOOK_AGAIN_SECONDS = 2.0
PROMPT_LENGTH = 60
"""Characters of a prompt in a list."""
CLIPS_SHOWN = 12
ICONS = {State.DONE: "CHECKMARK", State.FAILED: "ERROR", State.CANCELLED: "CANCEL"}


class _SidebarPanel:
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Elevator"


class ClipPanel(_SidebarPanel, bpy.types.Panel):
    """What to generate"""

    bl_idname = "ELEVATOR_PT_clip"
    bl_label = "Clip"

    def draw(self, context: Any) -> None:
        layout, session = self.layout, the_pump().session
        scene = strips.sequencer_scene(context)
        if scene is None:
            layouts.text(layout, context, "Choose a scene in the sequencer's header first.", icon="INFO")
            return
        settings = scene.elevator
        style = style_of(settings)
        column = layout.column()
        hint = style.example_prompt if style else "What the clip shows"
        _prompt(column, settings, "prompt", hint, "OUTLINER_OB_FONT")
        _prompt(column, settings, "negative_prompt", "What it must not show", "X")
        _fields(layout).prop(settings, "style")
        if style is not None and style.description:
            layouts.text(layout, context, style.description)
        row = layout.row()
        row.scale_y = 1.5
        row.operator_context = "INVOKE_DEFAULT"
        row.enabled = bool(session.styles)
        row.operator(GenerateClip.bl_idname, icon="RENDER_ANIMATION")
        _draw_progress(layout, context)
        if style is not None:
            layouts.text(layout, context, _sentence(settings, style, scene))
        elif not session.styles:
            ask_for_styles()
            layouts.text(layout, context, "The backend is asked for its styles.", icon="INFO")
            if session.link is Link.NONE:
                layout.operator("elevator.start_backend", icon="PLAY")
        _draw_problem(layout, context)
        _draw_advice(layout, context, scene)


def _sentence(settings: Any, style: Any, scene: Any) -> str:
    """What Generate would make: "32 frames of 512 × 512, 4 s: frames 1 to 96 of the scene"."""
    frames, (width, height) = frames_of(settings, style, scene), size_of(settings, style, scene)
    if frames > style.max_frames:
        return (
            f"The style makes at most {words.frames(style.max_frames)}: {words.seconds(style.max_frames / style.fps)}."
        )
    length = clips.scene_frames(frames, style.fps, scene) if settings.rate == "SCENE" else frames
    rate = strips.frame_rate(scene)
    return (
        f"{words.frames(frames)} of {width} × {height} pixels at {words.rate(float(style.fps))} a second; in the edit"
        f" {words.frames(length)} at {words.rate(float(rate))}, which is {words.seconds(length / rate)}."
    )


class LookPanel(_SidebarPanel, bpy.types.Panel):
    """How the clip is made"""

    bl_idname = "ELEVATOR_PT_look"
    bl_label = "Look"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a scene."""
        return strips.sequencer_scene(context) is not None

    def draw(self, context: Any) -> None:
        settings = strips.sequencer_scene(context).elevator
        _fields(self.layout).prop(settings, "preset")
        row = _fields(self.layout).row(align=True)
        row.prop(settings, "seed")
        row.prop(settings, "use_random_seed", text="", icon="UNLOCKED" if settings.use_random_seed else "LOCKED")
        row.operator("elevator.new_seed", text="", icon="FILE_REFRESH")


class TimePanel(_SidebarPanel, bpy.types.Panel):
    """How long and how large the clip is, and where it goes"""

    bl_idname = "ELEVATOR_PT_time"
    bl_label = "Time and Size"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a scene."""
        return strips.sequencer_scene(context) is not None

    def draw(self, context: Any) -> None:
        settings = strips.sequencer_scene(context).elevator
        style = style_of(settings)
        column = _fields(self.layout)
        column.prop(settings, "length")
        if settings.length in ("FRAMES", "SECONDS"):
            column.prop(settings, settings.length.lower())
        column.prop(settings, "rate")
        column = _fields(self.layout)
        column.prop(settings, "size")
        if settings.size == "TYPED":
            column.prop(settings, "width")
            column.prop(settings, "height")
        column.prop(settings, "fit")
        column = _fields(self.layout)
        column.prop(settings, "place")
        if settings.place == "CHANNEL":
            column.prop(settings, "channel")
        if style is not None:
            text = (
                f"Up to {words.frames(style.max_frames)}; sides from {style.min_size} to {style.max_size} pixels in"
                f" steps of {style.size_step}."
            )
            layouts.text(self.layout, context, text)


class QueuePanel(_SidebarPanel, bpy.types.Panel):
    """What is being generated"""

    bl_idname = "ELEVATOR_PT_queue"
    bl_label = "Queue"

    def draw(self, context: Any) -> None:
        layout, session = self.layout, the_pump().session
        window_manager = context.window_manager
        if not session.jobs:
            layouts.text(layout, context, "Nothing is being generated.")
            return
        layout.template_list(
            "ELEVATOR_UL_queue", "", window_manager, "elevator_queue", window_manager, "elevator_queue_index", rows=3
        )
        row = layout.row(align=True)
        if session.queue.paused or session.queue.stopped:
            row.operator("elevator.resume_queue", text="Resume", icon="PLAY")
        else:
            row.operator("elevator.pause_queue", text="Pause", icon="PAUSE")
        row.operator("elevator.cancel", text="Cancel All", icon="X").job = ""
        if session.queue.stopped:
            layouts.text(layout, context, session.queue.stopped, icon="ERROR")
        shown = list(session.jobs.values())
        if window_manager.elevator_queue_index < len(shown):
            _draw_details(layout.box(), context, shown[window_manager.elevator_queue_index])


class QueueList(bpy.types.UIList):
    """One line for each clip."""

    bl_idname = "ELEVATOR_UL_queue"

    def draw_item(
        self, _context: Any, layout: Any, _data: Any, item: Any, _icon: int, _active: Any, _name: str
    ) -> None:
        job = the_pump().session.jobs.get(item.name)
        if job is None:
            return
        row = layout.row(align=True)
        row.label(text=layouts.shortened(job.request.prompt, PROMPT_LENGTH), icon=ICONS.get(job.state, "TIME"))
        if job.ended:
            if job.state is State.FAILED:
                row.operator("elevator.try_again", text="", icon="FILE_REFRESH").job = job.id
            return
        status = the_pump().session.status(job)
        row.progress(factor=job.fraction, type="BAR", text=status.detail or status.line)
        button = row.row(align=True)
        button.enabled = job.cancel_asked is None
        button.operator("elevator.cancel", text="", icon="X").job = job.id


class ClipsPanel(_SidebarPanel, bpy.types.Panel):
    """Finished clips that are in no strip"""

    bl_idname = "ELEVATOR_PT_clips"
    bl_label = "Finished Clips"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a scene."""
        return strips.sequencer_scene(context) is not None

    def draw(self, context: Any) -> None:
        self.layout.operator("elevator.find_clips", icon="VIEWZOOM")
        used = {each.ticket.job for each in clips.held()}
        for view in [view for view in the_pump().session.finished.values() if view.job not in used][:CLIPS_SHOWN]:
            row = self.layout.row(align=True)
            row.label(text=layouts.shortened(view.prompt, PROMPT_LENGTH), icon="IMAGE_DATA")
            row.operator("elevator.insert_clip", text="", icon="ADD").job = view.job


class StripPanel(_SidebarPanel, bpy.types.Panel):
    """What made the active strip"""

    bl_idname = "ELEVATOR_PT_strip"
    bl_label = "Strip"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """The active strip must be a clip."""
        return clips.active(strips.sequencer_scene(context)) is not None

    def draw(self, context: Any) -> None:
        each = clips.active(strips.sequencer_scene(context))
        assert each is not None
        request = each.ticket.request
        layouts.text(self.layout, context, request.prompt)
        size = f"{words.frames(request.frames)} of {request.width} × {request.height}"
        text = f"{request.style}, seed {request.seed}, {size}"
        if request.preset:
            text += f", {request.preset}"
        layouts.text(self.layout, context, text)
        rate = words.rate(float(Fraction(*each.ticket.fps)))
        layouts.text(self.layout, context, f"Made for {rate} frames a second.")
        column = self.layout.column(align=True)
        column.operator("elevator.settings_from_strip", icon="EYEDROPPER")
        again = column.operator("elevator.try_again", text="Again with New Seed", icon="FILE_REFRESH")
        again.job, again.new_seed = each.ticket.job, True
        if each.filled:
            column.operator("elevator.open_folder", icon="FILE_FOLDER").folder = str(each.folder)


class BackendPanel(_SidebarPanel, bpy.types.Panel):
    """Whether the backend runs"""

    bl_idname = "ELEVATOR_PT_backend"
    bl_label = "Backend"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        session = the_pump().session
        match session.link:
            case Link.READY:
                device = f" It works on {session.device}." if session.device != "none" else ""
                state = f"The backend is ready.{device}"
            case Link.NONE:
                state = "The backend starts with the first Generate."
            case _:
                state = "The backend is starting."
        layouts.text(self.layout, context, state)
        for note in session.notes:
            layouts.text(self.layout, context, note, icon="INFO")
        row = self.layout.row(align=True)
        row.operator("elevator.start_backend", text="Start")
        row.operator("elevator.stop_backend", text="Stop")


def _prompt(layout: Any, settings: Any, name: str, hint: str, icon: str) -> None:
    """A text over several lines where this Blender has one, else over one."""
    functions = bpy.types.UILayout.bl_rna.functions
    if "textbox" in functions:
        layout.textbox(settings, name, **_known(functions["textbox"], placeholder=hint))
    else:
        layout.prop(settings, name, text="", icon=icon, **_known(functions["prop"], placeholder=hint))


def _known(function: Any, **arguments: Any) -> dict[str, Any]:
    """Those of the arguments that this Blender's function takes."""
    return {name: value for name, value in arguments.items() if name in function.parameters}


def _fields(layout: Any) -> Any:
    """A column in which names stand left of their fields."""
    column = layout.column(align=True)
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def _draw_problem(layout: Any, context: Any) -> None:
    problem = the_pump().session.problem or _installation.problem()
    if problem is not None:
        layouts.problem(layout, context, problem.sentence, problem.next_step, problem.command)


def _draw_progress(layout: Any, context: Any) -> None:
    """The clip that is being made, with its Cancel beside the bar; all others stand in the queue."""
    session = the_pump().session
    active = [job for job in session.active if not session.rests(job)]
    if not active:
        return
    job = next((job for job in active if job.phase != "waiting"), active[0])
    status = session.status(job)
    row = layout.row(align=True)
    row.progress(factor=job.fraction, type="BAR", text=status.detail or status.line)
    button = row.row(align=True)
    button.enabled = job.cancel_asked is None
    button.operator("elevator.cancel", text="", icon="X").job = job.id
    if status.detail:
        layouts.text(layout, context, status.line)
    if len(active) > 1:
        layouts.text(layout, context, f"{len(active) - 1} more in the queue.")


def _draw_details(box: Any, context: Any, job: Job) -> None:
    """What is told of the chosen line of the queue."""
    session = the_pump().session
    status = session.status(job)
    layouts.text(box, context, status.line, icon=ICONS.get(job.state, "NONE"))
    if status.detail:
        layouts.text(box, context, status.detail[:1].upper() + status.detail[1:])
    if job.problem is not None and job.problem.next_step:
        layouts.text(box, context, job.problem.next_step, icon="FORWARD")
    for warning in job.warnings:
        if warning != session.queue.stopped:  # it stands above already
            layouts.text(box, context, warning, icon="INFO")
    if session.waits(job):
        box.operator("elevator.start_backend", icon="PLAY")
    if job.state is State.FAILED:
        box.operator("elevator.try_again", icon="FILE_REFRESH").job = job.id


def _draw_advice(layout: Any, context: Any, scene: Any) -> None:
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


CLASSES = (QueueList, ClipPanel, LookPanel, TimePanel, QueuePanel, ClipsPanel, StripPanel, BackendPanel)


def register() -> None:
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.SEQUENCER_MT_add.append(_draw_add_menu)


def unregister() -> None:
    bpy.types.SEQUENCER_MT_add.remove(_draw_add_menu)
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
