"""Options of benchmarks that have none: `--help` explains, anything else is refused before minutes are spent."""

from __future__ import annotations

import argparse

from elevator.arguments import ArgumentParser


def no_options(description: str | None) -> None:
    """Read the command line of a benchmark that takes no options."""
    ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
