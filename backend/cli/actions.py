"""Actions of commands that have several, such as `models get`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elevator.arguments import ArgumentParser, Commands


def add_action(actions: Commands, name: str, about: str, run: Callable[[argparse.Namespace], int]) -> ArgumentParser:
    """One more action, which can speak JSON."""
    action = actions.add_parser(name, help=about, description=f"{about[:1].upper()}{about[1:]}.")
    action.add_argument("--json", action="store_true", help="print one JSON object a line (docs/COMMANDS.md)")
    action.set_defaults(run=run)
    return action
