"""What panels share."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

import time
from typing import Any

from ...clip.job import Problem, State
from ...machine import backend_process
from ...machine.timer import the_pump
from .. import layouts

LOOK_AGAIN_SECONDS = 2.0
PROMPT_LENGTH = 60
"""Characters of a prompt in a list."""
ICONS = {State.DONE: "CHECKMARK", State.FAILED: "ERROR", State.CANCELLED: "CANCEL"}


class SidebarPanel:
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Elevator"


def fields(layout: Any) -> Any:
    """A column in which names stand left of their fields."""
    column = layout.column(align=True)
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def draw_problem(layout: Any, context: Any) -> None:
    problem = the_pump().session.problem or _installation.problem()
    if problem is not None:
        layouts.problem(layout, context, problem.sentence, problem.next_step, problem.command)


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
