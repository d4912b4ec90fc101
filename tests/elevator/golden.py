"""The recorded trajectories in tests/golden and their models, each read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from elevator.chain.cross_frame import Call
from elevator.models.pair import Models
from tests.parity import Case, drain, read_case, recorded_models, relative_error

FOLDER = Path(__file__).parent.parent / "golden"

__all__ = ["FOLDER", "Call", "case", "drain", "models", "relative_error"]


@cache
def case(name: str) -> Case:
    return read_case(FOLDER / "cases", name)


def models(t2v: str) -> Models:
    """The tiny random models of a case; `t2v` is zeroscope, animatediff or lavie."""
    return recorded_models(FOLDER, t2v)
