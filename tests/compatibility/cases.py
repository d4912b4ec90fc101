"""Files as other tools write them, and what becomes of each: the rows of docs/COMPATIBILITY.md, and tests.

A module `cases_*.py` of this folder holds some of them in its `CASES`, a list of `Case`. `test_cases.py` builds and
loads every one, so that the table says what happens; `scripts/compatibility.py` writes the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

HOME = Path(__file__).parent
ROLES = ("text-to-image model", "text-to-video model", "VAE", "LoRA", "motion LoRA", "embedding")
"""Sections of the table, in this order."""

Build = Callable[[Path], dict[str, Any]]
"""Writes a case's files into an empty folder; returns what `Sources.of` is to be given instead of a pair that works."""


@dataclass(frozen=True)
class Case:
    """A kind of file."""

    role: str
    """One of `ROLES`."""
    format: str
    """How the file is laid out."""
    tool: str
    """What writes such files, or a published file."""
    build: Build
    refused: str = ""
    """The sentence that refuses it, with paths from the case's folder on; empty: it works."""
    holds: Callable[[Any], bool] = lambda models: True
    """Of the loaded `Models`: whether the file was taken for what it is."""
    told: str = ""
    """What the table says besides `works`, such as what it is taken for."""

    @property
    def outcome(self) -> Literal["works", "refused"]:
        """What becomes of it."""
        return "refused" if self.refused else "works"

    @property
    def name(self) -> str:
        """For people who read which test failed."""
        return f"{self.role}: {self.format} ({self.tool})"


def every_case() -> list[Case]:
    """All cases of all modules, by role."""
    modules = [importlib.import_module(f"tests.compatibility.{file.stem}") for file in sorted(HOME.glob("cases_*.py"))]
    cases = [case for module in modules for case in module.CASES]
    return sorted(cases, key=lambda case: ROLES.index(case.role))
