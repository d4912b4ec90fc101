"""The main job from beginning to end: backend, a real Blender, and what they leave in a folder."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backend.installer import environments, readiness, torch_wheel
from backend.installer.children import Command, end_stray, reason, run, started
from backend.installer.clone import BACKEND, BLENDER, BUILD, LOGS, ROOT
from backend.installer.environments import python_of
from backend.installer.extension import package
from backend.installer.interpreters import find_blender, find_python
from backend.installer.one_at_a_time import one_at_a_time
from backend.installer.problem import Problem
from backend.installer.terminal import Ticker, say
from shared_protocol.machine import files, places
from shared_protocol.machine.processes import is_running
from shared_protocol.starting import clean_environment

SCRIPT = ROOT / "blender_addon" / "tools" / "demo.py"
"""Runs inside Blender."""
PREFIX = "elevator-demo "
"""Begins the lines by which the script in Blender speaks to us."""
HOME = BUILD / "demo-home"
"""The demo's own connection file and settings: it neither disturbs the user's backend nor is disturbed by it."""
PROFILE = BUILD / "demo-blender"
"""A Blender profile of the demo's own, as fresh as on the first day."""
START_S = 60.0
"""How long the backend may take to be ready; it takes about one second."""


@dataclass(frozen=True)
class Wish:
    """What the clip shall be. Empty or 0 means: as the style has it."""

    prompt: str
    style: str
    seed: int
    frames: int
    size: int


def show(wish: Wish, *, folder: Path, blender: Path | None, torch: torch_wheel.Wish, fake: bool = False) -> None:
    """Set up, make the clip in Blender, and put everything into `folder`."""
    program = _pick_blender(blender)
    readiness.make_ready([BACKEND] if program else [BACKEND, BLENDER], torch)
    readiness.tell_blender()
    with one_at_a_time(BUILD / "demo.lock", "makes a demo"), _new_folder(folder.absolute()) as new:
        shutil.rmtree(PROFILE, ignore_errors=True)
        PROFILE.mkdir(parents=True)
        os.environ["ELEVATOR_HOME"] = str(HOME)  # from here on `places` and all children mean the demo's own home
        readiness.tell_blender()
        began = time.monotonic()
        with _backend(fake):
            zip_file = package(BUILD)
            _wait_until_ready()
            made = _make_in_blender(wish, program, zip_file, new)
            _animate(made, new)
        seconds = time.monotonic() - began
    _tell(made, folder, zip_file, seconds)


def _pick_blender(given: Path | None) -> Path | None:
    """The installed Blender to use, or None for the bpy module."""
    if given is None and (environments.is_complete(BLENDER) or find_python(BLENDER)):
        return None
    found = find_blender(given)
    if found is None:
        raise Problem(
            "The Blender module needs Python 3.11, which is not here, and no Blender 4.2 or newer was found: "
            "install one of the two, or name a Blender with --blender PROGRAM."
        )
    say(f"Using {found}.")
    return found


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place, if all goes well."""
    if folder.exists() and not (folder / "demo.blend").exists() and any(folder.iterdir()):
        raise Problem(f"{folder} holds something that is not an earlier demo: name another folder with --out.")
    new, old = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    for each in (new, old):
        shutil.rmtree(each, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        if folder.exists():
            files.move(folder, old)
        files.move(new, folder)
    finally:
        for each in (new, old):
            shutil.rmtree(each, ignore_errors=True)


@contextmanager
def _backend(fake: bool) -> Iterator[None]:
    """A running backend that is gone, with its worker, when the block is left."""
    log = LOGS / "demo-backend.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    places.connection_file().unlink(missing_ok=True)
    shutil.rmtree(places.data_folder(), ignore_errors=True)  # a demo that was killed leaves its clip in the queue
    command: Command = [python_of(BACKEND), "-m", "backend", "serve", *(["--fake"] if fake else [])]
    with (
        log.open("wb") as output,
        started(command, cwd=ROOT, env=clean_environment(os.environ), output=output) as process,
    ):
        say(f"The backend starts (process {process.pid}).")
        try:
            yield
        finally:
            if process.poll() is not None:
                say(f"The backend has ended by itself: {reason(log)}")
            _end_successor(process.pid)


def _end_successor(ours: int) -> None:
    """End a backend that the add-on may have started in place of a lost one."""
    told = _connection()
    if told and told["pid"] != ours and is_running(told["pid"], told.get("started")):
        end_stray(told["pid"])


def _connection() -> Mapping[str, Any] | None:
    try:
        told = json.loads(places.connection_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _wait_until_ready() -> None:
    limit = time.monotonic() + START_S
    while not places.connection_file().exists():
        if time.monotonic() > limit:
            raise Problem(f"The backend did not become ready: {reason(LOGS / 'demo-backend.log')}")
        time.sleep(0.05)


def _make_in_blender(wish: Wish, program: Path | None, zip_file: Path, folder: Path) -> Mapping[str, Any]:
    """Run the script in Blender and show its progress. Returns what it made."""
    request = PROFILE / "request.json"
    content = {**asdict(wish), "zip": str(zip_file), "folder": str(folder)}
    request.write_text(json.dumps(content), encoding="utf-8")
    start = [program, "--background", "--python-exit-code", "1", "--python"] if program else [python_of(BLENDER)]
    env = {**clean_environment(os.environ), "BLENDER_USER_RESOURCES": str(PROFILE), "PYTHONUNBUFFERED": "1"}
    made: Mapping[str, Any] | None = None
    notes: list[str] = []
    log = LOGS / "demo-blender.log"
    with (
        log.open("wb") as output,
        Ticker("Making the clip in Blender", every_s=5) as ticker,
        started([*start, SCRIPT, "--", request], cwd=ROOT, env=env, output=-1) as process,
    ):
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            if not line.startswith(PREFIX):
                output.write(raw)
                output.flush()
                continue
            told = json.loads(line[len(PREFIX) :])
            if "problem" in told:
                raise Problem(told["problem"])
            if "status" in told:
                status = told["status"]
                ticker.tell(" — ".join(filter(None, (status["line"], status["detail"]))), chapter=status["phase"])
            if "note" in told:
                notes.append(told["note"])
            made = told.get("made", made)
        code = process.wait()
        if code != 0 or made is None:
            raise Problem(f"Blender ended early (exit code {code}): {reason(log)} The whole output is in {log}.")
    for note in notes:
        say(f"Note: {note}")
    return made


def _animate(made: Mapping[str, Any], folder: Path) -> None:
    """Let all clips play side by side in one moving picture, for pages and messages."""
    clips: Command = [folder / each for each in made["folders"]]
    options: Command = ["--out", folder / "demo.webp", "--fps", str(made["fps"])]
    command: Command = [python_of(BACKEND), "-m", "elevator.pictures.animation", *clips, *options]
    run(
        command,
        what="Drawing the moving picture",
        log=LOGS / "animation.log",
        cwd=ROOT,
        env=clean_environment(os.environ),
    )


def _tell(made: Mapping[str, Any], folder: Path, zip_file: Path, seconds: float) -> None:
    """Five lines: what lies where, and what comes next."""
    say("")
    about = f"{made['frames']} frames, “{made['prompt']}”, made in {seconds:.0f} s"
    say(f"Film:     {folder / 'demo.mp4'} ({about}), and demo.webp for pages")
    say(f"Pictures: {folder / 'contact_sheet.png'} shows all; the frames are in {folder / made['folders'][0]}")
    strips = "one image strip" if made["strips"] == 1 else f"{made['strips']} image strips"
    say(f"Project:  {folder / 'demo.blend'} holds {strips}; open it in Blender {made['blender']} or newer")
    say(f"Add-on:   {zip_file}")
    say("Next:     drag the add-on into Blender, enable it, and open the tab Elevator in the Video Sequencer's sidebar")
