"""Runs inside Blender: installs the extension's zip, then calls the checks of one file and reports as JSON."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SPEC: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
MODULE = "bl_ext.user_default.video_elevator"
PROFILE = Path(os.environ["BLENDER_USER_RESOURCES"])
PROJECTS = Path(SPEC["projects"])
HOME = Path(SPEC["home"])
INSTALL_FILE = HOME / "config" / "backend.json"
CONNECTION_FILE = HOME / "state" / "connection.json"
FIGURES: dict[str, Any] = {}

# Blender looks into the folder of wheels first if it is there at the start; this environment has a zmq of its own.
WHEELS = PROFILE / "extensions" / ".local" / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages"
WHEELS.mkdir(parents=True, exist_ok=True)

import bpy  # noqa: E402

addon_utils = importlib.import_module("addon_utils")  # exists only once bpy is there


def install() -> None:
    """Install and enable the extension as a person does."""
    if not addon_utils.check("bl_pkg")[1]:
        addon_utils.enable("bl_pkg", default_set=True)
    bpy.ops.extensions.package_install_files(filepath=SPEC["zip"], repo="user_default", enable_on_install=True)
    assert addon_utils.check(MODULE) == (True, True), "the extension was not enabled"


def part(name: str) -> Any:
    """A module of the installed extension."""
    return importlib.import_module(f"{MODULE}.{name}")


def pump() -> Any:
    """The add-on's pump."""
    return part("machine.timer").the_pump()


def open_project(name: str, folder: Path | None = None) -> Path:
    """A fresh, saved project whose only undo step is its beginning."""
    base = Path(SPEC["lab"]) / "base.blend"
    if not base.exists():
        bpy.context.scene.view_settings.view_transform = "Standard"
        bpy.context.scene.render.fps = 8
        bpy.ops.wm.save_as_mainfile(filepath=str(base), copy=True)
    path = (folder or PROJECTS / name) / f"{name}.blend"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(base, path)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    bpy.ops.ed.undo_push(message="Beginning")
    return path


def scene() -> Any:
    """The scene; after undo and load an old reference is worth nothing."""
    return bpy.context.scene


def all_strips() -> list[Any]:
    """Every strip of the scene."""
    return list(part("blender.strips").every_strip(scene()))


def generate(prompt: str = "a pumpkin", **more: Any) -> Any:
    """The scripted way, which waits; returns the new strip."""
    before = _jobs()
    assert bpy.ops.elevator.generate("EXEC_DEFAULT", prompt=prompt, **more) == {"FINISHED"}
    return _new_strip(before)


def lay(prompt: str = "a pumpkin", **more: Any) -> Any:
    """What a script does that does not wait, and an artist's click: the strip is there at once, as an undo step.
    Returns the strip."""
    before = _jobs()
    assert bpy.ops.elevator.generate("EXEC_DEFAULT", True, prompt=prompt, wait=False, **more) == {"FINISHED"}
    return _new_strip(before)


def _jobs() -> set[str]:
    return {strip.get("elevator_job", "") for strip in all_strips()}


def _new_strip(before: set[str]) -> Any:
    new = [strip for strip in all_strips() if strip.get("elevator_job", "") not in before | {""}]
    assert len(new) == 1, new
    return new[0]


def job_of(strip: Any) -> Any:
    """The job that a strip waits for."""
    return pump().session.jobs[strip["elevator_job"]]


def refuse(**arguments: Any) -> str:
    """What the operator says when it refuses."""
    try:
        bpy.ops.elevator.generate("EXEC_DEFAULT", **arguments)
    except RuntimeError as error:
        return str(error).strip().removeprefix("Error: ")
    raise AssertionError("the operator should have refused")


def click() -> set[str]:
    """What a click on Generate calls. Without a user interface Blender executes operators, it does not invoke them."""
    operator = part("blender.operators.generate").GenerateClip
    given: dict[str, Any] = {}

    class Clicked:
        properties = SimpleNamespace(is_property_set=lambda name: name in given)
        _take = operator._take

        def __setattr__(self, name: str, value: Any) -> None:
            given[name] = value

        def execute(self, context: Any) -> set[str]:
            return set(bpy.ops.elevator.generate("EXEC_DEFAULT", True, wait=False, **given))

    return set(operator.invoke(Clicked(), bpy.context, None))


def press_generate(prompt: str = "a pumpkin", **more: Any) -> Any:
    """The artist's way; returns the job."""
    known = set(pump().session.jobs)
    scene().elevator.prompt = prompt
    scene().elevator.use_random_seed = more.pop("use_random_seed", False)
    scene().elevator.length = "FRAMES" if "frames" in more else "OWN"
    scene().elevator.size = "TYPED" if "width" in more else "OWN"
    for name, value in more.items():
        setattr(scene().elevator, name, value)
    assert click() == {"FINISHED"}
    (new,) = set(pump().session.jobs) - known
    return pump().session.jobs[new]


def tick_until(done: Callable[[], bool], seconds: float = 20.0) -> None:
    """Be Blender's event loop until something holds."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"nothing came of it: {list(pump().session.jobs.values())[-3:]}"
        pump().tick()
        time.sleep(0.005)


def tick_for(seconds: float) -> None:
    """Be Blender's event loop for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pump().tick()
        time.sleep(0.005)


@contextmanager
def ticks() -> Iterator[list[Any]]:
    """The ticks of a while."""
    seen: list[Any] = []
    pump().on_tick = seen.append
    try:
        yield seen
    finally:
        pump().on_tick = None


def largest(seen: list[Any]) -> dict[str, float]:
    """The most of each, over all ticks."""
    return {name: max(getattr(tick, name) for tick in seen) for name in ("seconds", "messages", "bytes")}


SLOW = "0.05"
"""Seconds of a step: a clip takes at least a second, so that there is time to do something meanwhile."""


@contextmanager
def slowly(step: str = SLOW) -> Iterator[None]:
    """Backends that start meanwhile take their time."""
    before = os.environ["ELEVATOR_FAKE_STEP_SECONDS"]
    os.environ["ELEVATOR_FAKE_STEP_SECONDS"] = step
    kill_backend()
    try:
        yield
    finally:
        os.environ["ELEVATOR_FAKE_STEP_SECONDS"] = before
        kill_backend()


def kill_backend() -> None:
    """End the backend without a word, if there is one."""
    is_running = part("shared_protocol.machine.processes").is_running
    try:
        pid = backend_pid()
    except FileNotFoundError:
        return
    if is_running(pid):
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_running(pid))


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait without a tick: Blender is busy with something else."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def backend_pid() -> int:
    """The process id of the backend that runs."""
    return int(json.loads(CONNECTION_FILE.read_text(encoding="utf-8"))["pid"])


def main() -> None:
    """Run what the spec asks for."""
    sys.modules["harness"] = sys.modules["__main__"]
    results = {}
    module = importlib.import_module(SPEC["name"])
    getattr(module, "install", install)()
    for name in SPEC["checks"]:
        print(f"--- {name}", flush=True)
        try:
            getattr(module, name)()
            results[name] = ""
        except Exception:  # noqa: BLE001 - a report of what failed is what this file is for
            results[name] = traceback.format_exc()
            print(results[name], flush=True)
    report = Path(SPEC["report"])
    report.write_text(json.dumps({"results": results, "figures": FIGURES}), encoding="utf-8")


if __name__ == "__main__":
    main()
