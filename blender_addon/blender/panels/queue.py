"""What is being generated."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any

import bpy

from ...clip.job import Job, State
from ...machine.timer import the_pump
from .. import layouts
from ..translations import told
from .shared import ICONS, PROMPT_LENGTH, SidebarPanel


class QueuePanel(SidebarPanel, bpy.types.Panel):
    """What is being generated"""

    bl_idname = "ELEVATOR_PT_queue"
    bl_label = "Queue"

    def draw(self, context: Any) -> None:
        layout, session = self.layout, the_pump().session
        the_pump().look_around()
        window_manager = context.window_manager
        if not session.jobs:
            layouts.text(layout, context, "Nothing is being generated.")
            return
        lines, index = window_manager.elevator_queue, window_manager.elevator_queue_index
        job = session.jobs.get(lines[index].name) if 0 <= index < len(lines) else None
        row = layout.row()
        row.template_list(
            "ELEVATOR_UL_queue", "", window_manager, "elevator_queue", window_manager, "elevator_queue_index", rows=3
        )
        _draw_order(row.column(align=True), job)
        row = layout.row(align=True)
        if session.backend.queue.paused or session.backend.queue.stopped:
            row.operator("elevator.resume_queue", text="Resume", icon="PLAY")
        else:
            row.operator("elevator.pause_queue", text="Pause", icon="PAUSE")
        all_of_them = row.row(align=True)
        all_of_them.enabled = bool(session.unfinished)
        all_of_them.operator("elevator.cancel", text="Cancel All", icon="X").job = ""
        if session.backend.queue.stopped:
            layouts.text(layout, context, session.backend.queue.stopped, icon="ERROR")
        if job is not None:
            _draw_details(layout.box(), context, job)


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
        icon = ICONS.get(job.state, "TIME")
        row.label(text=layouts.shortened(job.request.prompt, PROMPT_LENGTH), icon=icon, translate=False)
        if job.ended:
            if job.state is State.FAILED:
                row.operator("elevator.try_again", text="", icon="FILE_REFRESH").job = job.id
            return
        status = the_pump().session.status(job)
        row.progress(factor=job.fraction, type="BAR", text=told(status.detail or status.line), translate=False)
        button = row.row(align=True)
        button.enabled = job.cancel_asked is None
        button.operator("elevator.cancel", text="", icon="X").job = job.id


def _draw_order(column: Any, job: Job | None) -> None:
    """The buttons beside the list: the chosen clip comes earlier or later."""
    column.enabled = job is not None and not job.ended and job.phase == "waiting"
    for direction, icon in (("FIRST", "TRIA_UP_BAR"), ("UP", "TRIA_UP"), ("DOWN", "TRIA_DOWN")):
        button = column.operator("elevator.move_clip", text="", icon=icon)
        button.job, button.direction = "" if job is None else job.id, direction


def _draw_details(box: Any, context: Any, job: Job) -> None:
    """What is told of the chosen line of the queue."""
    session = the_pump().session
    status = session.status(job)
    layouts.text(box, context, status.line, icon=ICONS.get(job.state, "NONE"))
    if status.detail:
        detail = told(status.detail)
        layouts.text(box, context, detail[:1].upper() + detail[1:], translate=False)
    if job.problem is not None and job.problem.next_step:
        layouts.text(box, context, job.problem.next_step, icon="FORWARD")
    for warning in job.warnings:
        if warning != session.backend.queue.stopped:  # it stands above already
            layouts.text(box, context, warning, icon="INFO")
    if session.waits(job):
        box.operator("elevator.start_backend", icon="PLAY")
    if job.state is State.FAILED:
        box.operator("elevator.try_again", icon="FILE_REFRESH").job = job.id


CLASSES = (
    QueueList,
    QueuePanel,
)
