"""`python -m elevator`, and the command `elevator` where the package is installed."""

from __future__ import annotations

import os
import signal
import sys

from .arguments import until_unread, without_packages

try:
    from .cli import command_line
except ModuleNotFoundError as error:
    sys.exit(without_packages("elevator", error))


def main() -> int:
    """Run the command line as a process of its own. Returns the exit code."""
    # Ctrl-C counts even where the shell that started this hides it, and whoever is asked to end leaves in order too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # One bar is enough: transformers would show its own for every network that it reads.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    return until_unread(command_line.main)


if __name__ == "__main__":
    sys.exit(main())
