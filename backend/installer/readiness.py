"""Everything that a command needs before it can start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from backend.installer import environments, keeping, system_packages, torch_wheel, windows
from backend.installer.clone import BACKEND, BUILD, ROOT, Environment
from backend.installer.commands import write_commands
from backend.installer.interpreters import need_python
from backend.installer.one_at_a_time import one_at_a_time
from backend.installer.terminal import say
from shared_protocol import VERSION
from shared_protocol.machine import files, places


def make_ready(wanted: Sequence[Environment], torch_index: str | None = None) -> None:
    """Make these environments complete, with what they need from the system. Quick when all is there."""

    def torch_arguments(pip: Sequence[str | Path]) -> Sequence[str]:
        choice = torch_wheel.choose(BACKEND.lock, pip, torch_index)
        say(choice.why)
        return choice.pip_arguments

    windows.check_folder(ROOT)
    with one_at_a_time(BUILD / "setup.lock", "sets up"):
        incomplete = [environment for environment in wanted if not environments.is_complete(environment)]
        pythons = {environment.name: need_python(environment) for environment in incomplete}
        packages = [system_packages.venv_package(each, pythons[each.name]) for each in incomplete]
        needs_bpy = any(each.package.startswith("bpy") for each in wanted)
        libraries = system_packages.missing_libraries() if needs_bpy else []
        system_packages.provide([package for package in packages if package], libraries)
        for environment in incomplete:
            arguments = torch_arguments if environment is BACKEND else None
            with keeping.kept(environment):
                environments.ensure(environment, pythons[environment.name], arguments)
        if BACKEND in wanted:
            write_commands(BACKEND)


def tell_blender() -> Path:
    """Write the file by which the add-on finds this clone's backend."""
    path = places.install_file()
    content = {"python": str(environments.python_of(BACKEND)), "root": str(ROOT), "version": VERSION}
    files.make_folder(path.parent)
    files.write(path, f"{json.dumps(content, ensure_ascii=False, indent=2)}\n".encode(), durable=False)
    return path
