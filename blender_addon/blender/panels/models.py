"""Which models there are, and how to get more."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from ...clip import model_words
from ...machine.model_commands import ModelCommands
from ...machine.timer import ask_for_models, the_pump
from .. import layouts
from ..operators.models import OFFLINE
from .shared import SidebarPanel

TITLE_SHARE = 0.75
"""Of a line; the button has the rest."""
WORKS = {
    "list": "The models are being listed.",
    "get": "The models are being downloaded.",
    "scan": "The folder is being looked through.",
    "add": "A style is being made of them.",
    "verify": "The model files are being checked.",
    "repair": "The model files are being checked and mended.",
    "remove": "Model files are being deleted.",
    "export": "The models are being packed.",
    "import": "The models are being taken in.",
}


class ModelFilesMenu(bpy.types.Menu):
    """What can be done with model files that are here"""

    bl_idname = "ELEVATOR_MT_model_files"
    bl_label = "Model Files"

    def draw(self, _context: Any) -> None:
        layout = self.layout
        layout.operator("elevator.verify_models")
        layout.operator("elevator.repair_models")
        layout.separator()
        layout.operator_context = "INVOKE_DEFAULT"
        layout.operator("elevator.pack_models")
        layout.operator("elevator.unpack_models")


class ModelsPanel(SidebarPanel, bpy.types.Panel):
    """Models for styles of your own: from the model hub, or from folders that you have"""

    bl_idname = "ELEVATOR_PT_models"
    bl_label = "Models"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, pump = self.layout, the_pump()
        models = pump.models
        if pump.serving.profile:
            layouts.text(layout, context, "The backend runs on another machine: its models are looked after there.")
            return
        if models.sets is None:
            ask_for_models()
        row = layout.row(align=True)
        row.operator("elevator.list_models", text="Show Models" if models.sets is None else "Look Again")
        row.operator("elevator.scan_models", icon="FILE_FOLDER")
        row.menu("ELEVATOR_MT_model_files", text="", icon="DOWNARROW_HLT")
        if models.running:
            _draw_running(layout, context, models)
        if (problem := models.problem) is not None:
            layouts.problem(layout, context, problem.sentence, problem.next_step, problem.command)
        elif models.result:
            layouts.text(layout, context, models.result, icon="CHECKMARK")
        _draw_pairs(layout, context, models)
        _draw_sets(layout, context, models)


def _draw_running(layout: Any, context: Any, models: ModelCommands) -> None:
    box = layout.box()
    layouts.text(box, context, WORKS[models.running], icon="TIME")
    if (far := models.progress) is not None:
        layouts.text(box, context, model_words.fetched(far.bytes_done, far.bytes_total, far.seconds_left))
    if models.running != "remove":
        box.operator("elevator.stop_models", icon="CANCEL")


def _draw_pairs(layout: Any, context: Any, models: ModelCommands) -> None:
    if models.pairs is None:
        return
    if not models.pairs:
        layouts.text(layout, context, "The folder holds no two models that make a style.", icon="INFO")
    for index, pair in enumerate(models.pairs):
        row = layout.row()
        row.label(text=str(model_words.pair(pair.t2i, pair.t2v)), translate=False)
        row.operator("elevator.add_models").index = index


def _draw_sets(layout: Any, context: Any, models: ModelCommands) -> None:
    if models.sets is None:
        return
    if not bpy.app.online_access:
        layouts.text(layout, context, OFFLINE, icon="INFO")
    for each in models.sets:
        box = layout.box()
        row = box.row() if each.is_here else box.split(factor=TITLE_SHARE)
        row.label(text=each.title, icon="CHECKMARK" if each.is_here else "IMPORT", translate=False)
        if not each.is_here:
            row.operator("elevator.get_models", text=_verb(each.size, each.missing)).name = each.name
        else:
            row.operator("elevator.remove_models", text="", icon="TRASH").name = each.name
        layouts.text(box, context, model_words.of_set(each.size, each.missing, each.memory_gb))
        if each.about:
            layouts.text(box, context, each.about, translate=False)


def _verb(size: int, missing: int) -> str:
    return "Get" if missing >= size else "Go On"


CLASSES = (ModelFilesMenu, ModelsPanel)
