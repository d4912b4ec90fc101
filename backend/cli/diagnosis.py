"""`doctor`: what is wrong with this backend, and the command that mends it. `report`: the same for others to read.

What `install.py doctor` finds comes first: it needs nothing but Python, so it also works where this does not start.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from elevator.checkpoints.fitting import misfits
from shared_protocol import VERSION, connection
from shared_protocol.client import Client
from shared_protocol.connection import Connection
from shared_protocol.errors import ConnectionFileError, NoBackend
from shared_protocol.machine import files, locks, places
from shared_protocol.machine.launcher import install_command, launcher
from shared_protocol.messages import AskStatus, Status

from ..failures import EXIT_DONE, EXIT_TO_CHANGE
from ..installer import doctor, gpus, torch_build, torch_wheel
from ..installer.clone import BACKEND, BUILD, ROOT
from ..installer.doctor import Finding
from ..installer.gpus import Gpus
from ..installer.torch_build import TorchBuild
from ..machine_memory import machine_memory
from ..server.keys import read_public_key
from ..server.open_stores import DATABASE
from ..server.schema import SCHEMA_VERSION
from ..styles.catalogue import read_catalogue
from .output import json_line

LEAST_FREE = 2 << 30
"""Bytes that should be free where results go."""
ANSWER_SECONDS = 5.0
_BUILT_FOR = {"cpu": "the CPU", "cuda": "NVIDIA's", "rocm": "AMD's", "xpu": "Intel's"}
"""By kind of build."""


def run_doctor(options: argparse.Namespace) -> int:
    """Look at everything and say it, a line for each. Returns 0 if clips can be made, else 1."""
    found = []
    for finding in examine():
        found.append(finding)
        if not options.json:
            print(line(finding), flush=True)
    wrong = any(finding.remedy and finding.needed for finding in found)
    if options.json:
        print(json_line({"ok": not wrong, "findings": [asdict(finding) for finding in found]}))
    return EXIT_TO_CHANGE if wrong else EXIT_DONE


def line(finding: Finding) -> str:
    """A finding as people read it."""
    mark = "ok      " if not finding.remedy else "WRONG   " if finding.needed else "better  "
    return f"{mark} {finding.what}" + (f" → {finding.remedy}" if finding.remedy else "")


def examine() -> Iterator[Finding]:
    """All findings, as they are made. Changes nothing."""
    yield from doctor.findings()
    yield _packages()
    yield from _device()
    yield _extension()
    yield from _styles()
    yield from _folders()
    yield from _secrets()
    yield _free_space()
    yield from _backend()
    yield _database(places.data_folder() / DATABASE)


def _packages() -> Finding:
    """Whether all packages have the versions of the lock file."""
    lines = [re.split(r"[#\\]", text)[0].strip() for text in BACKEND.wanted.splitlines()]
    wanted = [Requirement(text) for text in lines if text and not text.startswith("--hash")]
    wanted = [package for package in wanted if package.marker is None or package.marker.evaluate()]
    wrong = []
    for package in wanted:
        try:
            version = metadata.version(package.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{package.name} is missing")
        else:
            if not package.specifier.contains(version, prereleases=True):
                wrong.append(f"{package.name} is {version} instead of {str(package.specifier).removeprefix('==')}")
    if not wrong:
        return Finding(f"{len(wanted)} packages have the versions of {BACKEND.lock.name}")
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return Finding(f"packages: {', '.join(wrong[:3])}{more}", f"delete .venv, then: {install_command('setup')}")


def _device() -> Iterator[Finding]:
    """Memory, processor, and whether torch, by what it says of itself, can use the GPU that is there."""
    yield Finding(f"{machine_memory() / 1e9:.0f} GB of memory, {os.cpu_count()} processor cores")
    build, machine = torch_build.installed(), gpus.found()
    if build is None or machine == Gpus():
        return
    fitting = {"cuda": machine.nvidia is not None, "rocm": machine.amd, "xpu": machine.intel}
    if fitting.get(build.kind):
        yield Finding(f"torch {build.version} is built for this machine's GPU")
    else:
        what = f"torch {build.version} cannot use this machine's GPU: it is built for {_BUILT_FOR[build.kind]}"
        yield Finding(what, _other_torch(build, machine), needed=False)


def _other_torch(build: TorchBuild, machine: Gpus) -> str:
    """The command that puts the right build in the place of this one."""
    if (ROOT / "install.py").exists():
        return f"{install_command('setup')} --torch {machine.kind}"
    name = torch_wheel.builds(machine.kind, machine.nvidia)[0]
    index = f"{torch_wheel.INDEX}/{name}"
    return f'"{sys.executable}" -m pip install --extra-index-url {index} torch=={build.release}+{name}'


def _extension() -> Finding:
    built = sorted(BUILD.glob(f"video_elevator-{VERSION}-*.zip"))
    return Finding(
        f"the extension for Blender is built: {', '.join(map(str, built))}" if built else "the extension is not built",
        "" if built else install_command("package"),
        needed=False,
    )


def _styles() -> Iterator[Finding]:
    catalogue = read_catalogue()
    for note in catalogue.notes:
        yield Finding(note.rstrip("."), "mend that file, as docs/STYLES.md shows", needed=False)
    for name, recipe in catalogue.recipes.items():
        if wrong := misfits(recipe.sources):
            step = " ".join(dict.fromkeys(misfit.step for misfit in wrong)).rstrip(".")
            what = "; ".join(misfit.what for misfit in wrong)
            remedy = f"{step[:1].lower()}{step[1:]} (docs/STYLES.md)"
            yield Finding(f'style "{name}": {what}', remedy, needed=name == "plain")
        else:
            yield Finding(f'style "{name}": all its files are what they should be')


def _folders() -> Iterator[Finding]:
    """Whether we can write where we must, and others cannot read or write there."""
    if (open_disk := _open_disk()) is not None:
        yield open_disk
        return
    for what, folder, mask in (
        ("state", places.state_folder(), 0o077),
        ("data", places.data_folder(), 0o077),
        ("settings", places.config_folder(), 0o022),
    ):
        there = next(each for each in (folder, *folder.parents) if each.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            yield Finding(f"the {what} folder {folder} cannot be written", f'chmod u+rwx "{there}"')
        elif os.name == "posix" and folder.exists() and folder.stat().st_mode & mask:
            verb = "read" if mask == 0o077 else "write into"
            remedy = f'chmod {"go-rwx" if mask == 0o077 else "go-w"} "{folder}"'
            yield Finding(f"others can {verb} the {what} folder {folder}", remedy, needed=mask != 0o077)
        else:
            yield Finding(f"the {what} folder {folder} can be written, and by nobody else")


def _open_disk() -> Finding | None:
    """What is wrong with a disk on which every file is everybody's: there no chmod mends anything."""
    for folder in (places.state_folder(), places.config_folder(), places.data_folder()):
        with suppress(OSError):  # what cannot be written is said elsewhere
            if folder.exists() and not files.keeps_modes(folder):
                what = (
                    f"the disk of {folder} keeps nothing to its owner, as exFAT does, and Windows' disks do under WSL"
                )
                return Finding(what, "name a folder on another disk in the variable ELEVATOR_HOME")
    return None


def _secrets() -> Iterator[Finding]:
    """Whether others can read a file with a secret, or write one that says who may come in."""
    if _open_disk() is not None:
        return  # said already
    config, state, data = places.config_folder(), places.state_folder(), places.data_folder()
    secret = [*config.glob("keys/*.key"), *config.glob("profiles/*.json"), *state.glob("*.log*")]
    secret += [path for path in (places.connection_file(), *data.glob("queue*.db*")) if path.exists()]
    exposed = [path for path in secret if os.name == "posix" and path.stat().st_mode & 0o077]
    for path in exposed:
        yield Finding(f"others can read {path}", f'chmod 600 "{path}"')
    for path in sorted(config.glob("authorized/*.pub")):
        try:
            read_public_key(path)
        except (OSError, ValueError) as error:
            remedy = f'chmod go-w "{path}", or put the key there anew'
            yield Finding(f"the key in {path} is not let in: {error}", remedy, needed=False)
    if not exposed:
        yield Finding(f"{len(secret)} files with keys, prompts or logs are their owner's alone")


def _free_space() -> Finding:
    folder = places.data_folder()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(there).free
    remedy = (
        "" if free >= LEAST_FREE else f"delete what is not needed there, at least {(LEAST_FREE - free) / 1e9:.1f} GB"
    )
    return Finding(f"{free / 1e9:.1f} GB are free where results go", remedy)


def _backend() -> Iterator[Finding]:
    """Whether the connection file is that of a backend that answers."""
    path = places.connection_file()
    try:
        found = connection.read(path)
    except NoBackend:
        left = path.exists()
        if (pid := locks.holder(places.lock_file())) is not None:
            yield Finding(
                f"a backend runs, process {pid}, but its connection file {path} is not there",
                f"wait a moment, for it writes the file anew; if it stays away: end process {pid}",
            )
            return
        yield Finding(
            "no backend runs" + (": its connection file is stale, and the next one replaces it" if left else "")
        )
    except ConnectionFileError as error:
        yield Finding(str(error).partition(": ")[0], f'delete "{path}", then: {launcher()} serve')
    else:
        if ask_status(found) is None:
            yield Finding(f"the backend, process {found.pid}, does not answer", f"end process {found.pid}")
        elif found.version != VERSION:
            yield Finding(f"the backend that runs is of release {found.version}, not {VERSION}", f"{launcher()} stop")
        else:
            yield Finding(f"the backend, process {found.pid}, answers")


def ask_status(found: Connection) -> Status | None:
    """What the backend does; None if it does not answer within ANSWER_SECONDS."""
    with Client(found, name=f"doctor, {sys.platform}") as client:
        client.send(AskStatus())
        deadline = time.monotonic() + ANSWER_SECONDS
        while client.lost is None and time.monotonic() < deadline:
            client.wait(0.2)
            for message, _ in client.poll():
                if isinstance(message, Status):
                    return message
    return None


def _database(path: Path) -> Finding:
    if not path.exists():
        return Finding("the queue is empty: there is no database yet")
    try:
        with closing(open_read_only(path)) as base:
            (said,) = base.execute("PRAGMA integrity_check(1)").fetchone()
            (version,) = base.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        said, version = str(error), 0
    if said != "ok":
        said = " ".join(said.split())
        remedy = f"{launcher()} serve, which puts it aside and finds the finished clips again"
        return Finding(f"the database {path} is damaged ({said})", remedy)
    if version > SCHEMA_VERSION:
        return Finding(
            f"the database {path} was written by a newer release", f"git pull, then: {install_command('setup')}"
        )
    return Finding(f"the database {path} is whole")


def open_read_only(path: Path) -> sqlite3.Connection:
    """The queue's database, to look at only; a backend may have it open at the same time.

    Where no backend has it open, or was killed, SQLite is told so: else it would make files beside it.
    """
    alone = not path.with_name(f"{path.name}-wal").exists()
    return sqlite3.connect(f"{path.resolve().as_uri()}?{'immutable=1' if alone else 'mode=ro'}", uri=True)
