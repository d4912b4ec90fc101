"""Everything that a command needs before it can start."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from backend.installer import environments, keeping, system_packages, torch_wheel, windows
from backend.installer.clone import BACKEND, BUILD, ROOT, Environment
from backend.installer.commands import write_commands
from backend.installer.interpreters import need_python
from backend.installer.one_at_a_time import one_at_a_time
from backend.installer.terminal import say
from backend.installer.torch_build import TorchBuild, read
from shared_protocol import VERSION
from shared_protocol.machine import files, places


def make_ready(wanted: Sequence[Environment], torch: torch_wheel.Wish = torch_wheel.NO_WISH) -> None:
    """Make these environments complete, with what they need from the system. Quick when all is there.

    `torch`: which build the backend's environment gets; if nothing is wished for, what is there stays.
    """
    noted = torch_wheel.settled(torch) if BACKEND in wanted else environments.NOTHING

    def ask_torch(pip: Sequence[str | Path]) -> environments.More:
        assert BACKEND.torch_lock is not None
        wish = torch if noted else torch_wheel.wish_of(environments.noted(BACKEND))
        choice = torch_wheel.choose(BACKEND.torch_lock, pip, wish, _torch_of(BACKEND))
        say(choice.why)
        return environments.More(choice.pip_arguments, choice.noted, choice.room_gb)

    def lacking(environment: Environment) -> bool:
        return not environments.is_complete(environment, noted if environment is BACKEND else environments.NOTHING)

    windows.check_folder(ROOT)
    with one_at_a_time(BUILD / "setup.lock", "sets up"):
        incomplete = [environment for environment in wanted if lacking(environment)]
        pythons = {environment.name: need_python(environment) for environment in incomplete}
        packages = [system_packages.venv_package(each, pythons[each.name]) for each in incomplete]
        needs_bpy = any(each.package.startswith("bpy") for each in wanted)
        libraries = system_packages.missing_libraries() if needs_bpy else []
        system_packages.provide([package for package in packages if package], libraries)
        for environment in incomplete:
            with keeping.kept(environment):
                if environment is BACKEND:
                    environments.ensure(environment, pythons[environment.name], ask_torch, noted)
                else:
                    environments.ensure(environment, pythons[environment.name])
        if BACKEND in wanted:
            write_commands(BACKEND)


def _torch_of(environment: Environment) -> TorchBuild | None:
    """The torch that is in an environment, if there is any."""
    sites = environment.folder.glob("Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages")
    return next((build for site in sites if (build := read(site / "torch"))), None)


def tell_blender() -> Path:
    """Write the file by which the add-on finds this clone's backend."""
    path = places.install_file()
    content = {"python": str(environments.python_of(BACKEND)), "root": str(ROOT), "version": VERSION}
    files.make_folder(path.parent)
    files.write(path, f"{json.dumps(content, ensure_ascii=False, indent=2)}\n".encode(), durable=False)
    return path
