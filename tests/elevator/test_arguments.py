"""What every command line of the project has in common."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from elevator.arguments import EXIT_UNREAD
from tests.unread import unread


@pytest.mark.parametrize(
    "command",
    [
        "lambda: print('a line') or 0",  # Python writes it at its end
        "lambda: print('a line', flush=True) or 0",
        "lambda: print('a line') or sys.exit(0)",
    ],
)
def test_a_reader_that_has_enough_gets_no_traceback(command: str, root: Path) -> None:
    script = f"import sys; from elevator.arguments import until_unread; sys.exit(until_unread({command}))"
    done = unread([sys.executable, "-c", script], root)
    assert (done.returncode, done.stderr) == (EXIT_UNREAD, "")
