"""The commands `video-elevator` and `elevator` beside the Python of this clone's environment.

They find the Python beside them and the clone above that, so they work after the clone was moved, too.
"""

from __future__ import annotations

import os
import sys

from backend.installer.clone import Environment
from backend.installer.environments import python_of
from shared_protocol.machine import files

COMMANDS = {"video-elevator": "backend.__main__", "elevator": "elevator.__main__"}
"""By name: the module whose `main` it runs."""
CODE = "import sys; sys.path.insert(0, sys.argv.pop(1)); from {module} import main; sys.exit(main())"
"""Its first word is the clone's folder."""
SHELL = """\
#!/bin/sh
self=$0
while [ -h "$self" ]; do
  to=$(readlink "$self")
  case $to in /*) self=$to ;; *) self=$(dirname "$self")/$to ;; esac
done
bin=$(CDPATH= cd -- "$(dirname -- "$self")" && pwd -L) || exit
exec "$bin/python" -P -c '{code}' "${{bin%/*/*}}" "$@"
"""
"""A shell's script: the first line of a Python one may hold no space and not be long. Links to it may lie elsewhere."""
BATCH = """\
@echo off
"%~dp0python.exe" -P -c "{code}" "%~dp0..\\.." %*
"""
"""The same for Windows, whose terminals take the name without its ending."""


def write_commands(environment: Environment) -> None:
    """Write them, in one step each. They run this clone from any folder."""
    windows = sys.platform == "win32"
    script, ending, newline = (BATCH, ".cmd", "\r\n") if windows else (SHELL, "", "\n")
    for name, module in COMMANDS.items():
        path = python_of(environment).parent / f"{name}{ending}"
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        text = script.format(code=CODE.format(module=module))
        temporary.write_text(text, encoding="ascii", newline=newline)
        temporary.chmod(0o755)
        files.move(temporary, path)
