"""`report`: a zip for a report of a fault, without keys, prompts and names of people and machines.

It holds `report.json` (versions, settings, devices, findings of `doctor`, styles, a summary of the queue) and the last
lines of each log. Whatever goes in passes through `Redactor`.
"""

from __future__ import annotations

import argparse
import getpass
import io
import json
import os
import platform
import re
import socket
import sqlite3
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shared_protocol import VERSION, connection
from shared_protocol.errors import ConnectionFileError
from shared_protocol.machine import files, places
from shared_protocol.messages import MAJOR, MINOR

from ..client.failures import cannot_write
from ..failures import EXIT_DONE
from ..root import ROOT
from ..serve_options import ServeOptions
from ..server.open_stores import DATABASE
from ..styles.catalogue import read_catalogue
from .diagnosis import ask_status, examine, open_read_only

T = TypeVar("T")
LOG_LINES = 400
LOG_BYTES = 256 << 10
"""Of the end of each log that goes in."""
LAST_JOBS = 50
SHORTEST_PROMPT = 3
"""Prompts of fewer letters than this are not looked for: they would be found in every word."""
NOBODY = ("", "root", "localhost")
"""Names that say nothing about a person or a machine."""
GONE = "«redacted»"
_Z85 = r"0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#"
_KEY = re.compile(rf"[{_Z85}]{{40,}}")
_HARMLESS = re.compile(r"[a-z0-9_./:=()\[\]-]+")
"""A run of 40 letters without capitals and without most signs is a path or a name: chance makes no such key."""
_HEX = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{40,}(?![0-9A-Za-z])")
_PROMPT = re.compile(r"(?i)(prompts?\b[^:=\n]{0,60}[:=]\s*|\bjob [0-9a-f]{32}: (?=['\"])).*")
"""Where a log tells a prompt, as it does if asked."""
_HIDDEN = re.compile(r"(?i)(?:^|_)(?:prompts?|secret|token|password)$|_key$")
"""Names of values that are never shown."""
_QUOTED = re.compile(r"“([^”]*)”|\"([^\"]*)\"|'([^']*)'")
_HOMES = re.compile(r"(?i)([\\/]+(?:home|users)[\\/]+)[^\\/:\"'\n]+")
_ENDPOINT = re.compile(r"(tcp://)(?!127\.0\.0\.1|0\.0\.0\.0|\*|\[::1?\])(\[[^\]]*\]|[^:\s/]+)")


class Redactor:
    """Takes out of text what nobody else should read."""

    def __init__(self, *, secrets: Iterable[str], prompts: Iterable[str], names: Iterable[str], homes: Iterable[Path]):
        """`secrets`: keys. `names`: of user and host. `homes`: folders of this user, shown as `~`."""
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        long_enough = {text for text in prompts if len(text.strip()) >= SHORTEST_PROMPT}
        self._prompts = sorted(long_enough, key=len, reverse=True)
        words = sorted({re.escape(name) for name in names if name not in NOBODY}, key=len, reverse=True)
        self._names = re.compile(rf"(?i)(?<![0-9a-z])(?:{'|'.join(words)})(?![0-9a-z])") if words else None
        self._homes = sorted({str(home) for home in homes if len(home.parts) > 1}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without them."""
        for found in (*self._secrets, *self._prompts):
            for form in _forms(found):
                text = text.replace(form, GONE)
        text = _PROMPT.sub(rf"\1{GONE}", text)
        text = _QUOTED.sub(self._quoted, text)
        for home in self._homes:
            for form in _forms(home):
                text = text.replace(form, "~")
        text = _HOMES.sub(r"\1«user»", text)
        text = _ENDPOINT.sub(r"\1«host»", text)
        if self._names is not None:
            text = self._names.sub("«name»", text)
        text = _HEX.sub(GONE, text)
        return _KEY.sub(lambda match: match[0] if _HARMLESS.fullmatch(match[0]) else GONE, text)

    def value(self, value: Any) -> Any:
        """The same for everything within lists and mappings. What is named a prompt or a secret goes whole."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): self._named(str(key), one) for key, one in value.items()}
            case list() | tuple():
                return [self.value(one) for one in value]
        return value

    def _named(self, key: str, value: Any) -> Any:
        hidden = isinstance(value, str) and _HIDDEN.search(key)
        return GONE if hidden and value else self.value(value)

    def _quoted(self, match: re.Match[str]) -> str:
        """A quotation that is a part of a prompt, such as a word that the models do not know, is one, too."""
        inner = next(group for group in match.groups() if group is not None)
        hidden = len(inner) >= SHORTEST_PROMPT and any(inner.lower() in prompt.lower() for prompt in self._prompts)
        return match[0].replace(inner, GONE) if hidden else match[0]


def run_report(options: argparse.Namespace) -> int:
    """Write the zip, for its owner alone to read, and say where it is. Raises BackendError."""
    path: Path = options.out or Path(f"elevator-report-{time.strftime('%Y%m%d-%H%M%S')}.zip")
    redactor = redactor_here()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        content = json.dumps(redactor.value(_facts()), ensure_ascii=False, indent=1)
        archive.writestr("report.json", content)
        for log in sorted(places.state_folder().glob("*.log*")):
            archive.writestr(f"logs/{redactor.text(log.name)}", redactor.text(_tail(log)))
    try:
        files.make_folder(path.parent)
        files.write(path, packed.getvalue())
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    print(f"{path} holds versions, settings, findings and the last lines of the logs.")
    print("Keys, prompts and names were taken out. Look into it before you send it: words of yours may be left.")
    return EXIT_DONE


def redactor_here() -> Redactor:
    """One that knows this user, this machine, all keys and all prompts that are found here."""
    host = socket.gethostname()
    environment = [os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "COMPUTERNAME", "HOSTNAME")]
    folders = (places.config_folder(), places.state_folder(), places.data_folder())
    moved = os.environ.get("ELEVATOR_HOME")
    return Redactor(
        secrets=_secrets(),
        prompts=_prompts(),
        names=[_user(), Path.home().name, host, host.partition(".")[0], *environment],
        homes=[Path.home(), ROOT, *folders, *([Path(moved)] if moved else [])],
    )


def _facts() -> dict[str, Any]:
    catalogue = read_catalogue()
    return {
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": {
            "elevator": VERSION,
            "protocol": f"{MAJOR}.{MINOR}",
            "python": sys.version,
            "system": platform.platform(),
            "sqlite": sqlite3.sqlite_version,
            "packages": {found.name: found.version for found in metadata.distributions()},
        },
        "settings": {
            "defaults": msgspec.to_builtins(asdict(ServeOptions()), enc_hook=str),
            "environment": {name: text for name, text in os.environ.items() if name.startswith("ELEVATOR_")},
            "install_file": _json_of(places.install_file()),
        },
        "findings": [asdict(finding) for finding in examine()],
        "styles": {
            name: {
                "base": [recipe.sources.t2i_path.name, recipe.sources.t2v_path.name],
                "presets": sorted(recipe.presets),
                "fps": recipe.fps,
            }
            for name, recipe in catalogue.recipes.items()
        },
        "notes": list(catalogue.notes),
        "queue": _queue(places.data_folder() / DATABASE),
        "backend": _running(),
    }


def _queue(path: Path) -> dict[str, Any]:
    """How many jobs are in which state, and how the last ones ended; without their prompts."""
    try:
        with closing(open_read_only(path)) as base:
            rows = base.execute(
                "SELECT id, state, submitted, losses, interruptions, received, bytes, ending FROM jobs"
                " ORDER BY coalesce(ended, 1e18) DESC, place"
            ).fetchall()
    except sqlite3.Error as error:
        return {"unreadable": str(error)}
    names = ("job", "state", "submitted", "losses", "interruptions", "received", "bytes")
    jobs = [dict(zip(names, row[:-1], strict=True)) | {"failure": _code(row[-1])} for row in rows]
    return {"states": Counter(str(job["state"]) for job in jobs), "last": jobs[:LAST_JOBS]}


class _Ending(msgspec.Struct):
    code: str = ""


def _code(ending: bytes | str | None) -> str:
    try:
        return msgspec.json.decode(ending, type=_Ending).code if ending else ""
    except msgspec.DecodeError:
        return "unreadable"


def _running() -> Any:
    try:
        found = connection.read(places.connection_file())
    except ConnectionFileError as error:
        return str(error)
    status = ask_status(found)
    return "it does not answer" if status is None else msgspec.to_builtins(status)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        return str(error)
    return "\n".join(text.splitlines()[-LOG_LINES:])


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}"


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


def _forms(text: str) -> Iterable[str]:
    """The text as it stands in logs: itself, as Python's repr shows it, and as JSON does."""
    return dict.fromkeys((text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]))
