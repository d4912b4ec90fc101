"""What is known of this user and machine, so that a report can leave it out: keys, prompts, names."""

from __future__ import annotations

import getpass
import os
import re
import socket
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import fields
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from elevator import Plan
from shared_protocol.machine import places

from ..child_environment import looks_secret
from ..root import ROOT
from ..styles.catalogue import Catalogue, read_catalogue
from ..styles.files import BASES, STYLES, Base, StyleFile
from .diagnosis import open_read_only
from .redacting import SHORTEST_NAME, Redactor

T = TypeVar("T")
MOST_FILES = 20_000
"""Names of a user's files that are looked for."""
SHORTEST_SECRET = 6
"""Values of variables of fewer letters than this are not looked for."""
SHIPPED_PRESETS = ("published", "balanced", "fast", "draft", "turbo")
OUR_FILES = (
    *("connection.json", "backend.json", "result.json", "clip.json", "job.json", "report.json", "service.xml"),
    *("queue.db", "server.key", "server.pub", "contact_sheet.png", "pyproject.toml"),
)
"""Names that our files have on every machine, beside those of the project's own folder."""
TYPES = ("str", "int", "float", "bool", "null", "array", "object")


def redactor_here() -> Redactor:
    """One that knows this user, this machine, all keys, all prompts and all names of files that are found here."""
    host = socket.gethostname()
    environment = [os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "COMPUTERNAME", "HOSTNAME")]
    catalogue = read_catalogue()
    folders = {
        "«clone»": ROOT,
        "«python»": Path(sys.base_prefix),
        "«settings»": places.config_folder(),
        "«state»": places.state_folder(),
        "«data»": places.data_folder(),
    }
    if moved := os.environ.get("ELEVATOR_HOME"):
        folders["«moved»"] = Path(moved)
    return Redactor(
        secrets=(*_secrets(), *_variables()),
        prompts=_prompts(),
        names=[_user(), *_full_name(), Path.home().name, host, host.partition(".")[0], *environment, *_hosts()],
        homes=[Path.home()],
        folders=folders,
        files=dict(islice(_own_files(catalogue), MOST_FILES)),
        shipped=_shipped(),
        modules=metadata.packages_distributions(),
    )


def _shipped() -> Iterator[str]:
    """Names of files, styles, presets and settings that everybody has."""
    yield from (*OUR_FILES, *SHIPPED_PRESETS, *TYPES)
    for folder in (STYLES, BASES):
        yield from (path.stem for path in folder.glob("*.toml"))
    for kind in (Base, StyleFile):
        yield from kind.__struct_fields__
    yield from (field.name for field in fields(Plan))
    for room in ("backend", "blender_addon", "docs", "elevator", "examples", "shared_protocol"):
        yield from (path.name for path in (ROOT / room).rglob("*") if "__pycache__" not in path.parts)
    yield from (path.name for path in ROOT.iterdir() if path.is_file())


def _own_files(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """Names that the user has given to styles, models and the like, each with what it is."""
    config = places.config_folder()
    for folder, kind in (("styles", "style"), ("bases", "base"), ("profiles", "profile"), ("authorized", "key")):
        yield from _both(config.glob(f"{folder}/*.*"), kind)
    yield from _both((path for path in config.glob("keys/*.*") if path.stem != "server"), "key")
    for recipe in catalogue.recipes.values():
        used = [path for _, path in recipe.sources.paths() if ROOT not in path.parents]
        yield from _both(used, "model")
        yield from ((preset, "preset") for preset in recipe.presets if preset not in SHIPPED_PRESETS)
    of_loras = {folder for recipe in catalogue.recipes.values() for folder in recipe.lora_folders}
    for place in sorted(each for each in {*of_loras, config / "loras"} if ROOT not in each.parents):
        yield from _both(place.rglob("*"), "model")


def _both(paths: Iterable[Path], kind: str) -> Iterator[tuple[str, str]]:
    """Names with and without what they end with."""
    for path in paths:
        yield path.name, kind
        yield path.stem, kind


def _hosts() -> Iterator[str]:
    """Machines that profiles lead to."""
    for path in places.profiles_folder().glob("*.json"):
        if (found := _read(path, _Reached)) is not None and (host := _HOST.match(found.endpoint)) is not None:
            yield host[1]


def _variables() -> Iterator[str]:
    """Secrets of the environment, which a library may have printed."""
    for name, text in os.environ.items():
        if len(text) >= SHORTEST_SECRET and looks_secret(name, text) and not os.path.isabs(text):
            yield text


def _full_name() -> Iterator[str]:
    """What the system says this user is called, and each word of that."""
    if sys.platform == "win32":
        return
    import pwd

    with suppress(KeyError):
        name = pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0].strip()
        yield from (word for word in (name, *name.split()) if len(word) >= SHORTEST_NAME)


_HOST = re.compile(r"[a-z]+://\[?([^\[\]/]+?)\]?:\d+\Z")


class _Reached(msgspec.Struct):
    """Where a profile leads."""

    endpoint: str = ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        return ""


class _Keys(msgspec.Struct):
    """The keys in any file where we keep some."""

    public: str = ""
    secret: str = ""
    server_key: str = ""
    client_public: str = ""
    client_secret: str = ""


def _secrets() -> Iterator[str]:
    """All keys that are kept here."""
    config = places.config_folder()
    for path in (places.connection_file(), *config.glob("profiles/*.json"), *config.glob("keys/*.key")):
        if (found := _read(path, _Keys)) is not None:
            yield from msgspec.structs.astuple(found)


class _Work(msgspec.Struct):
    """What a job's stored order says in words."""

    prompt: str = ""
    negative_prompt: str = ""


class _Result(msgspec.Struct):
    """What the record beside a result says in words."""

    prompt: str = ""
    work: _Work = msgspec.field(default_factory=_Work)


def _prompts() -> Iterator[str]:
    """All prompts that are kept here: in the queue, in those that were damaged, and beside results."""
    folder = places.data_folder()
    for path in folder.glob("queue*.db"):
        try:
            with closing(open_read_only(path)) as base:
                rows = base.execute("SELECT prompt, work FROM jobs").fetchall()
        except sqlite3.Error:
            continue
        for prompt, work in rows:
            yield prompt
            with suppress(msgspec.DecodeError):
                yield from msgspec.structs.astuple(msgspec.json.decode(work, type=_Work))
    for path in folder.glob("results/*/result.json"):
        if (found := _read(path, _Result)) is not None:
            yield from (found.prompt, *msgspec.structs.astuple(found.work))


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
