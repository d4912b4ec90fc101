"""Writes docs/COMPATIBILITY.md: which files of other tools work, and in which sentence the others are refused.

The rows are the cases of `tests/compatibility`, which are built and loaded there. With --check, nothing is written,
and 1 is returned if the page is not what it should be.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.compatibility.cases import Case, every_case  # noqa: E402  # after the path

DOCUMENT = ROOT / "docs" / "COMPATIBILITY.md"
_HEAD = """# Files of other tools

What becomes of a file is told by its content: names of tensors, shapes, metadata. `elevator identify FILE …` says
what yours is. Each row is a test in `tests/compatibility`, from which a script, compatibility.py, writes this page.
Paths in sentences are shortened.
"""
_COLUMNS = ("| format | written by, or published as | outcome |", "|---|---|---|")


def table() -> str:
    """The whole page."""
    sections = [_HEAD]
    for role, cases in groupby(every_case(), key=lambda case: case.role):
        rows = [f"| {case.format} | {case.tool} | {_outcome(case)} |" for case in cases]
        heading = f"## {role[:1].upper()}{role[1:]}s"
        sections.append("\n".join([heading, "", *_COLUMNS, *rows, ""]))
    return "\n".join(sections)


def _outcome(case: Case) -> str:
    if case.refused:
        return f"refused: “{case.refused}”"
    return f"works: {case.told}" if case.told else "works"


def main(arguments: list[str]) -> int:
    """Write the page, or look at it."""
    text = table()
    if DOCUMENT.exists() and DOCUMENT.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in arguments:
        return 1
    DOCUMENT.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
