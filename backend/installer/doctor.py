"""What is wrong with this installation, and what mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from backend.installer import environments, import_check, system_packages
from backend.installer.children import ask
from backend.installer.clone import BACKEND, BLENDER, OLD_BLENDER, ROOT, Environment
from backend.installer.environments import python_of
from backend.installer.terminal import say
from shared_protocol import VERSION
from shared_protocol.machine import places
from shared_protocol.machine.launcher import install_command

MODELS = ROOT / "elevator" / "embedded" / "weights"
_TORCH = """
import torch
gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
shown = ", ".join(f"{gpu.name} with {gpu.total_memory / 1e9:.0f} GB" for gpu in gpus)
print(torch.__version__, "on", shown or "the CPU")
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    remedy: str = ""
    """What to do; empty if all is well."""
    needed: bool = True
    """Whether generating clips needs it; else only demo and tests do."""


def examine() -> int:
    """Say what was found. Returns 0 if clips can be generated, else 1."""
    everything = list(findings())
    for finding in everything:
        mark = "ok      " if not finding.remedy else "MISSING " if finding.needed else "not yet "
        say(f"{mark} {finding.what}" + (f" → {finding.remedy}" if finding.remedy else ""))
    return int(any(finding.remedy and finding.needed for finding in everything))


def findings() -> Iterator[Finding]:
    """Look at everything, one after the other. torch is started in a process of its own."""
    setup = install_command("setup")
    yield _environment(BACKEND, setup, needed=True)
    torch = ask([python_of(BACKEND), "-c", _TORCH], timeout_s=120)
    yield Finding(f"torch {torch or 'starts'}", "" if torch else f"delete .venv, then: {setup}")
    yield from _imports(BACKEND, f"delete .venv, then: {setup}")
    models = len(list(MODELS.rglob("*.safetensors")))
    yield Finding(f"embedded models ({models} files)", "" if models else f"git checkout -- {MODELS.relative_to(ROOT)}")
    told = _blender_was_told()
    yield Finding(f"Blender knows this backend by {places.install_file()}", "" if told else setup)
    yield _environment(BLENDER, install_command("demo"), needed=False)
    yield _environment(OLD_BLENDER, install_command("test"), needed=False)
    libraries = system_packages.missing_libraries()
    packages = " ".join(system_packages.BPY_LIBRARIES[library] for library in libraries)
    yield Finding(
        "the bpy module's libraries", f"sudo apt-get install -y {packages}" if libraries else "", needed=False
    )


def _environment(environment: Environment, remedy: str, *, needed: bool) -> Finding:
    lacks = environments.lacks(environment)
    return Finding(f"{environment.name} is complete" + (f": {lacks}" if lacks else ""), lacks and remedy, needed)


def _imports(environment: Environment, remedy: str) -> Iterator[Finding]:
    """Files may be whole and still not load."""
    if not python_of(environment).exists():
        return  # said already
    wrong = import_check.broken(environment)
    for each in wrong:
        yield Finding(each, remedy)
    if not wrong:
        yield Finding("all packages can be imported")


def _blender_was_told() -> bool:
    try:
        told = json.loads(places.install_file().read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return False
    return bool(told == {"python": str(python_of(BACKEND)), "root": str(ROOT), "version": VERSION})
