"""Clips that there are: those in no strip, and what made the active strip."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import bpy

from ...clip import words
from ...clip.words import Phrase
from ...machine.timer import the_pump
from .. import clips, layouts, strips
from ..translations import told
from .shared import PROMPT_LENGTH, InScene, SidebarPanel

CLIPS_SHOWN = 12


class ClipsPanel(InScene, bpy.types.Panel):
    """Finished clips that are in no strip"""

    bl_idname = "ELEVATOR_PT_clips"
    bl_label = "Finished Clips"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        self.layout.operator("elevator.find_clips", icon="VIEWZOOM")
        used = {job for each in clips.held() for job in each.ticket.jobs}
        finished = the_pump().session.backend.finished.values()
        for view in [view for view in finished if view.job not in used][:CLIPS_SHOWN]:
            row = self.layout.row(align=True)
            row.label(text=layouts.shortened(view.prompt, PROMPT_LENGTH), icon="IMAGE_DATA", translate=False)
            row.operator("elevator.insert_clip", text="", icon="ADD").job = view.job
        column = self.layout.column(align=True)
        column.operator("elevator.collect_clips", icon="FILE_FOLDER")
        column.operator("elevator.remove_unused", icon="TRASH")


class StripPanel(SidebarPanel, bpy.types.Panel):
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
        layouts.text(self.layout, context, request.prompt, translate=False)
        text = Phrase(
            "{style}, seed {seed}, {frames} of {width} × {height}",
            style=", ".join(filter(None, (request.style, request.preset))),
            seed=request.seed,
            frames=words.frames(request.frames),
            width=request.width,
            height=request.height,
        )
        layouts.text(self.layout, context, text)
        rate = words.rate(float(Fraction(*each.ticket.fps)))
        layouts.text(self.layout, context, Phrase("Made for {rate} frames a second.", rate=rate))
        if request.flow_fps is not None:
            flow = words.rate(float(request.flow_fps))
            layouts.text(self.layout, context, Phrase("Delivered at {rate}, with new pictures between.", rate=flow))
        column = self.layout.column(align=True)
        if each.ticket.takes:
            takes = told(Phrase("Next of {count} Takes", count=len(each.ticket.jobs)))
            column.operator("elevator.next_take", text=takes, icon="FRAME_NEXT", translate=False)
        column.operator("elevator.settings_from_strip", icon="EYEDROPPER")
        again = column.operator("elevator.try_again", text="Again with New Seed", icon="FILE_REFRESH")
        again.job, again.new_seed = each.ticket.job, True
        if each.filled:
            column.operator("elevator.open_folder", icon="FILE_FOLDER").folder = str(each.folder)


CLASSES = (
    ClipsPanel,
    StripPanel,
)
