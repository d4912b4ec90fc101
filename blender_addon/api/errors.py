"""What scripts are told of failures."""

from __future__ import annotations

from typing import Literal, NoReturn, TypeAlias, get_args

from shared_protocol.messages import DenialCode, FailureCode

from ..clip.job import Problem

AddonCode: TypeAlias = Literal[
    "backend_lost",
    "batch_refused",
    "cancelled",
    "folder_unwritable",
    "frames_missing",
    "has_window",
    "in_handler",
    "interrupted",
    "no_backend",
    "no_channel",
    "strip_not_usable",
    "no_clip",
    "no_scene",
    "no_strip",
    "render_running",
    "timeout",
]


CODES: frozenset[str] = frozenset(get_args(AddonCode) + get_args(FailureCode) + get_args(DenialCode))
"""Every `ElevatorError.code`."""


class ElevatorError(Exception):
    """Something cannot be done, or was not."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem} [{problem.code}]")
        self.code = problem.code
        """One of CODES."""
        self.sentence = problem.sentence
        """What is wrong."""
        self.next_step = problem.next_step
        """What to do about it; may be empty."""
        self.command = problem.command
        """The one command to run, if there is one."""


def stop(code: AddonCode | FailureCode | DenialCode, sentence: str, next_step: str = "") -> NoReturn:
    raise ElevatorError(Problem(sentence, next_step, code=code))
