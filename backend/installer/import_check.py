"""Does an environment's Python import what it was installed for? Whole files may still not load: a library of the
system is missing, a driver too old, a wheel meant for another processor."""

from __future__ import annotations

import json
from collections.abc import Iterator

from backend.installer import contents
from backend.installer.children import ask
from backend.installer.clone import Environment
from backend.installer.environments import python_of

MODULES = {
    "msgspec": "msgspec",
    "pyzmq": "zmq",
    "psutil": "psutil",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "safetensors": "safetensors",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
    "diffusers": "diffusers",
    "bpy": "bpy",
}
"""By package: the module that shows whether it works. torch comes after cv2, as in a worker."""
TRY = """
import importlib, json, sys
wrong = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        wrong[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
print()
print(json.dumps(wrong))
"""
LIMIT_S = 300.0
"""Reading torch from a cold, slow disk takes a minute."""


def broken(environment: Environment) -> list[str]:
    """What does not load, each with the reason: of the packages alone that its lock file names. Takes seconds."""
    wanted = contents.pins(environment.wanted)
    names = [module for package, module in MODULES.items() if package in wanted]
    return list(_tried(environment, names)) if names else []


def _tried(environment: Environment, names: list[str]) -> Iterator[str]:
    said = ask([python_of(environment), "-P", "-c", TRY, *names], timeout_s=LIMIT_S)
    if said is None:
        # One of them ends Python at once, as a library does that was built for another processor.
        for name in names:
            if ask([python_of(environment), "-P", "-c", TRY, name], timeout_s=LIMIT_S) is None:
                yield f"{name} ends Python when it is imported"
        return
    for name, why in json.loads(said.splitlines()[-1]).items():
        yield f"{name} cannot be imported ({why})"
