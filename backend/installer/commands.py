"""The commands `video-elevator` and `elevator` beside the Python of this clone's environment."""

from __future__ import annotations

import os
import shlex
import sys

from backend.installer.clone import ROOT, Environment
from backend.installer.environments import python_of
from shared_protocol.machine import files

COMMANDS = {"video-elevator": "backend.__main__", "elevator": "elevator.__main__"}
"""By name: the module whose `main` it runs."""


def write_commands(environment: Environment) -> None:
    """Write them, in one step each. They run this clone from any folder; on Windows there are none."""
    if sys.platform == "win32":
        return
    python = python_of(environment)
    for name, module in COMMANDS.items():
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from {module} import main; sys.exit(main())"
        path = python.parent / name
        temporary = path.with_name(f"{name}.{os.getpid()}.tmp")
        # A shell's script: the first line of a Python one may hold no space and not be long.
        temporary.write_text(
            f'#!/bin/sh\nexec {shlex.quote(str(python))} -P -c {shlex.quote(code)} "$@"\n', encoding="utf-8"
        )
        temporary.chmod(0o755)
        files.move(temporary, path)
