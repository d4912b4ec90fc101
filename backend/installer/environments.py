"""Virtual environments that are either complete or made anew."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from backend.installer import contents
from backend.installer.children import reason, run
from backend.installer.clone import LOGS, Environment
from backend.installer.interpreters import version_of
from backend.installer.problem import Problem
from backend.installer.system_packages import has_ensurepip
from backend.installer.terminal import say
from shared_protocol.machine import files

STAMP = "elevator-stamp.json"
"""Lies in an environment: what it was made of, or that it is unfinished. Written last."""
UNFINISHED = "unfinished"
NOTHING: Mapping[str, str] = MappingProxyType({})

NOT_REACHED = {
    "ProxyError|Tunnel connection failed|407 Proxy": (
        "the proxy did not let pip through to the packages. Look at HTTPS_PROXY and at pip's setting proxy, and start"
        " again."
    ),
    "CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError": (
        "the package index could not prove who it is, as behind a firewall that reads along. Give pip its certificate"
        " (pip config set global.cert FILE) and start again."
    ),
    "DO NOT MATCH THE HASHES": (
        "a package that came is not the file that the lock names. Either an index or something on the way has exchanged"
        " it, or this system is none of those that are known: Linux with glibc, Windows, macOS."
    ),
    "NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ConnectionResetError"
    "|Temporary failure in name resolution|getaddrinfo failed|Network is unreachable|RemoteDisconnected": (
        "the package index was not reached. Look whether this machine has a network, and start again: what is"
        " downloaded already is not lost."
    ),
}
"""What pip's log holds when it has met no index, or a false one: why, as a person would say it."""


@dataclass(frozen=True)
class More:
    """What is installed besides what the lock file says."""

    pip_arguments: Sequence[str] = ()
    noted: Mapping[str, str] = field(default_factory=dict)
    """What the stamp says of it."""
    room_gb: float = 0.0
    """Disk space that it takes."""


AskMore = Callable[[Sequence[str | Path]], More]
"""Given the pip command. Asked only when something is going to be installed."""


def python_of(environment: Environment) -> Path:
    """Its interpreter."""
    if sys.platform == "win32":
        return environment.folder / "Scripts" / "python.exe"
    return environment.folder / "bin" / "python"


def is_complete(environment: Environment, noted: Mapping[str, str] = NOTHING) -> bool:
    """Whether it holds exactly what its lock file says, whole and unchanged, and its interpreter starts.

    `noted`: what its stamp must say of what else is in it.
    """
    return not lacks(environment, noted)


def lacks(environment: Environment, noted: Mapping[str, str] = NOTHING) -> str:
    """What it lacks to be complete, or nothing. `noted`: see `is_complete`."""
    stamp = _stamp(environment)
    if stamp is None:
        return "not made yet"
    if stamp == UNFINISHED:
        return "an installation was cut off"
    if not _says(stamp, wanted_stamp(environment)):
        return "made for another lock file or system"
    if not _says(stamp, noted):
        return "made with another build of torch"
    version = version_of(python_of(environment))
    if version is None or not _fits(environment, version):
        return "its Python does not start or is another"
    return "; ".join(str(each) for each in damages(environment)[:3])


def damages(environment: Environment) -> list[contents.Damage]:
    """Packages that are not there, or not as they were installed."""
    wanted = contents.pins(environment.wanted)
    try:
        complete_at = (environment.folder / STAMP).stat().st_mtime
    except OSError:
        complete_at = 0.0
    return list(contents.damages(environment.folder, wanted, complete_at))


def wanted_stamp(environment: Environment) -> Mapping[str, str]:
    """What the stamp of a complete environment says at the least."""
    lock = hashlib.sha256(environment.wanted.encode()).hexdigest()
    system = f"{sys.platform} {platform.machine()}"
    return {"lock": lock, "package": environment.package, "system": system}


def noted(environment: Environment) -> Mapping[str, str]:
    """All that the stamp says; nothing, if the environment is unfinished."""
    return _read(_stamp(environment))


def ensure(
    environment: Environment, base: Path, ask_more: AskMore | None = None, wanted: Mapping[str, str] = NOTHING
) -> None:
    """Make the environment complete. `base` is the interpreter from which it is made; `wanted`: what its stamp must
    say of what else is in it, about which `ask_more` decides.

    One that was cut off in its middle is made anew. One without a stamp was made by hand, and one with an old stamp
    belongs to an older lock file: pip brings both up to date. Damaged packages, which look whole to pip, come again.
    """
    if is_complete(environment, wanted):
        return
    _check_room(environment, environment.room_gb)
    version = version_of(python_of(environment))
    if _stamp(environment) == UNFINISHED or version is None or not _fits(environment, version):
        _create(environment, base)
    damaged = damages(environment) if _stamp(environment) != UNFINISHED else []
    if damaged and _says(_stamp(environment) or "", wanted_stamp(environment)):
        say(f"{environment.name} is damaged ({'; '.join(str(each) for each in damaged[:3])}): it is mended.")
    more = ask_more(_pip(environment, base)) if ask_more else More()
    if more.room_gb:
        _check_room(environment, more.room_gb)
    _write_stamp(environment, UNFINISHED)
    for each in damaged:
        if not each.replaces:
            contents.forget(environment.folder, each.package)
    pip = [*_pip(environment, base), "install", "--disable-pip-version-check", "--no-input"]  # a damaged one is gone
    if environment.torch_lock is None:
        package = [environment.package] if environment.package else []
        _run_pip([*pip, "-r", environment.lock, *package, *more.pip_arguments], environment)
    else:
        # The lock is whole, and pip would ask for hashes of what it adds by itself, such as torch.
        _run_pip([*pip, "--no-deps", "-r", environment.lock], environment)
        _run_pip([*pip, "-r", environment.torch_lock, *more.pip_arguments], environment, "torch")
    if left := damages(environment):
        raise Problem(f"{environment.name} is not whole ({left[0]}): delete it and start again.")
    _write_stamp(environment, json.dumps({**wanted_stamp(environment), **more.noted}))


def _run_pip(command: Sequence[str | Path], environment: Environment, part: str = "packages") -> None:
    what = f"Installing {part} into {environment.name}"
    log = LOGS / f"pip{environment.name}{'' if part == 'packages' else f'-{part}'}.log"
    run(command, what=what, log=log, busy_with=pip_is_busy_with, why=pips_reason)


def pip_is_busy_with(log: Path) -> str:
    """What pip does, in words: most of its lines are about itself, and none comes while it unpacks for long."""
    for line in reversed(log.read_text(encoding="utf-8", errors="replace").splitlines()):
        if found := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line):
            return f"looking for {found[1]}"
        if found := re.match(r" *Downloading ([\w.]+)-\S+ (\(.*\))", line):
            return f"downloading {found[1]} {found[2]}"
        if line.startswith("Installing collected packages:"):
            return f"unpacking {line.count(',') + 1} packages"
    return ""


def pips_reason(log: Path) -> str:
    """Why pip has failed. Without a network its last word is that there is no such package."""
    text = log.read_text(encoding="utf-8", errors="replace")
    for signs, sentence in NOT_REACHED.items():
        if re.search(signs, text):
            return sentence
    return reason(log)


def _fits(environment: Environment, version: tuple[int, int]) -> bool:
    return version == environment.python or (version > environment.python and not environment.exactly)


def _check_room(environment: Environment, room_gb: float) -> None:
    free_gb = shutil.disk_usage(environment.folder.parent).free / 1e9
    if free_gb < room_gb:
        raise Problem(
            f"{environment.name} needs {room_gb} GB and the disk has {free_gb:.1f} GB left: make room and start again."
        )


def _create(environment: Environment, base: Path) -> None:
    if environment.folder.exists():
        say(f"{environment.name} is unfinished or unfit: it is made anew.")
        shutil.rmtree(environment.folder)
    _write_stamp(environment, UNFINISHED)
    without_pip = [] if has_ensurepip(base) else ["--without-pip"]
    run(
        [base, "-m", "venv", *without_pip, environment.folder],
        what=f"Creating {environment.name}",
        log=LOGS / f"venv{environment.name}.log",
    )


def _pip(environment: Environment, base: Path) -> list[str | Path]:
    """The pip command for it: its own, or that of `base` where it has none."""
    python = python_of(environment)
    if contents.has_module(environment.folder, "pip"):
        return [python, "-m", "pip"]
    return [base, "-m", "pip", "--python", python]


def _stamp(environment: Environment) -> str | None:
    try:
        return (environment.folder / STAMP).read_text(encoding="utf-8")
    except OSError:
        return None


def _read(stamp: str | None) -> Mapping[str, str]:
    """What a stamp says, by name."""
    try:
        said = json.loads(stamp or "")
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in said.items()} if isinstance(said, dict) else {}


def _says(stamp: str, wanted: Mapping[str, str]) -> bool:
    """Whether the stamp says all of it. What a later release of this file has added is no matter."""
    return wanted.items() <= _read(stamp).items()


def _write_stamp(environment: Environment, text: str) -> None:
    environment.folder.mkdir(parents=True, exist_ok=True)
    files.write(environment.folder / STAMP, text.encode(), private=False, durable=False)
