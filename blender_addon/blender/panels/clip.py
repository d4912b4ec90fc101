"""What to generate, and Generate."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any

import bpy

from ...clip import foreseen as foreseen_words
from ...clip import words
from ...clip.link import Link
from ...clip.words import Phrase
from ...machine.timer import ask_for_styles, the_pump
from .. import clips, estimates, layouts, preferences, previews, strips, thumbnails
from ..operators.generate import GenerateClip
from ..properties import frames_of, prompt_of, size_of, style_of
from ..translations import told
from .shared import SidebarPanel, draw_problem, fields

SHOWN_CHARACTERS = 200
"""Of a prompt that stands in a text."""


class ClipPanel(SidebarPanel, bpy.types.Panel):
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
        hint = style.example_prompt if style else told("What the clip shows")
        if settings.prompt_text is None:
            _prompt(column, settings, "prompt", hint, "OUTLINER_OB_FONT")
        else:
            layouts.text(column, context, layouts.shortened(prompt_of(settings), SHOWN_CHARACTERS), "OUTLINER_OB_FONT")
        _prompt(column, settings, "negative_prompt", told("What it must not show"), "X")
        fields(layout).prop(settings, "prompt_text", text="Long Prompt")
        if style is not None and thumbnails.icon_of(style):
            row = layout.split(factor=0.3)
            row.template_icon_view(settings, "style", show_labels=True, scale=2.5, scale_popup=5.0)
            row.prop(settings, "style", text="")
        else:
            fields(layout).prop(settings, "style")
        if style is not None and style.description:
            layouts.text(layout, context, style.description)
        row = layout.row()
        row.scale_y = 1.5
        row.operator_context = "INVOKE_DEFAULT"
        row.enabled = bool(session.backend.styles)
        row.operator(GenerateClip.bl_idname, icon="RENDER_ANIMATION")
        _draw_progress(layout, context)
        if style is not None:
            layouts.text(layout, context, _sentence(settings, style, scene))
            _draw_estimate(layout, context, settings, scene)
        elif not session.backend.styles:
            ask_for_styles()
            layouts.text(layout, context, "The backend is asked for its styles.", icon="INFO")
            if session.link is Link.NONE:
                layout.operator("elevator.start_backend", icon="PLAY")
        draw_problem(layout, context)
        _draw_advice(layout, context, scene)


def _sentence(settings: Any, style: Any, scene: Any) -> str:
    """What Generate would make: "32 frames of 512 × 512, 4 s: frames 1 to 96 of the scene"."""
    frames, (width, height) = frames_of(settings, style, scene), size_of(settings, style, scene)
    if frames > style.max_frames:
        return Phrase(
            "The style makes at most {frames}: {seconds}.",
            frames=words.frames(style.max_frames),
            seconds=words.seconds(style.max_frames / style.fps),
        )
    length = clips.scene_frames(frames, style.fps, scene) if settings.rate != "CLIP" else frames
    rate = strips.frame_rate(scene)
    return Phrase(
        "{frames} of {width} × {height} pixels at {fps} a second; in the edit {length} at {rate}, which is {seconds}.",
        frames=words.frames(frames),
        width=width,
        height=height,
        fps=words.rate(float(style.fps)),
        length=words.frames(length),
        rate=words.rate(float(rate)),
        seconds=words.seconds(length / rate),
    )


def _draw_estimate(layout: Any, context: Any, settings: Any, scene: Any) -> None:
    """What the clip would take, or why it cannot be made, as far as the backend has told."""
    clip = estimates.clip_of(settings, scene)
    if clip is None:
        return
    estimates.want(clip)
    foreseen = the_pump().session.backend.foreseen
    if foreseen.told is None or not foreseen.is_about(clip):
        return
    if foreseen.told.problem:
        layouts.text(layout, context, foreseen.told.problem, icon="ERROR")
        layouts.text(layout, context, foreseen.told.next_step, icon="FORWARD")
    elif sentence := foreseen_words.sentence(foreseen.told):
        layouts.text(layout, context, sentence, icon="TIME")


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


def _draw_progress(layout: Any, context: Any) -> None:
    """The clip that is being made, Cancel beside the bar and its preview below; all others stand in the queue."""
    session = the_pump().session
    job = session.foremost
    if job is None:
        return
    status = session.status(job)
    row = layout.row(align=True)
    row.progress(factor=job.fraction, type="BAR", text=told(status.detail or status.line), translate=False)
    own = preferences.of(context)
    if own is not None:
        row.prop(own, "live_preview", text="", icon="HIDE_OFF" if own.live_preview else "HIDE_ON")
    button = row.row(align=True)
    button.enabled = job.cancel_asked is None
    button.operator("elevator.cancel", text="", icon="X").job = job.id
    previews.draw(layout)
    if status.detail:
        layouts.text(layout, context, status.line)
    others = sum(not session.rests(each) for each in session.active) - 1
    if others:
        layouts.text(layout, context, Phrase("{count} more in the queue.", count=others))


def _draw_advice(layout: Any, context: Any, scene: Any) -> None:
    if not strips.view_shows_colors_as_they_are(scene):
        view = scene.view_settings.view_transform
        sentence = Phrase("The view transform {view} changes the colors of clips.", view=view)
        layouts.text(layout, context, sentence, icon="INFO")
        layout.operator("elevator.use_standard_view")


CLASSES = (ClipPanel,)
