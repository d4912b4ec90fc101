"""What panels share."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any

from ...clip.job import Problem, State
from ...machine.installation import installation
from ...machine.timer import the_pump
from .. import layouts, strips

PROMPT_LENGTH = 60
"""Characters of a prompt in a list."""
ICONS = {State.DONE: "CHECKMARK", State.FAILED: "ERROR", State.CANCELLED: "CANCEL"}


class SidebarPanel:
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Elevator"


class InScene(SidebarPanel):
    """A panel about a scene's strips."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a scene."""
        return strips.sequencer_scene(context) is not None


def fields(layout: Any) -> Any:
    """A column in which names stand left of their fields."""
    column = layout.column(align=True)
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def draw_problem(layout: Any, context: Any) -> None:
    problem = the_pump().session.problem
    if problem is None and isinstance(installation.found, Problem):
        problem = installation.found
    if problem is not None:
        layouts.problem(layout, context, problem.sentence, problem.next_step, problem.command)
