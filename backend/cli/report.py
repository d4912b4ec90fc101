"""`report`: a zip for a report of a fault, without keys, tokens, prompts, addresses, and names of people and things.

It holds `report.json` (versions, settings, devices, findings of `doctor`, styles, a summary of the queue) and the last
lines of each log. Whatever goes in passes through `Redactor`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sqlite3
import sys
import time
import zipfile
from collections import Counter
from contextlib import closing
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from shared_protocol import VERSION, connection
from shared_protocol.errors import ConnectionFileError
from shared_protocol.machine import files, locks, places
from shared_protocol.messages import MAJOR, MINOR

from ..client.failures import cannot_write
from ..failures import EXIT_DONE
from ..serve_options import ServeOptions
from ..server.open_stores import DATABASE
from ..styles.catalogue import read_catalogue
from .diagnosis import ask_status, examine, open_read_only
from .known_here import redactor_here
from .redacting import Redactor

LOG_LINES = 400
LOG_BYTES = 256 << 10
"""Of the end of each log that goes in."""
LAST_JOBS = 50


def run_report(options: argparse.Namespace) -> int:
    """Write the zip, for its owner alone to read, and say where it is. Raises BackendError."""
    path: Path = options.out or Path(f"elevator-report-{time.strftime('%Y%m%d-%H%M%S')}.zip")
    redactor = redactor_here()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        facts = {"versions": _versions(redactor), **redactor.value(_facts())}
        content = json.dumps(facts, ensure_ascii=False, indent=1)
        archive.writestr("report.json", content)
        for log in sorted(places.state_folder().glob("*.log*")):
            archive.writestr(f"logs/{redactor.text(log.name)}", redactor.text(_tail(log)))
    try:
        files.make_folder(path.parent)
        files.write(path, packed.getvalue())
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    print(f"{path} holds versions, settings, findings and the last lines of the logs.")
    print("Keys, prompts, addresses and names were taken out. Look into it before you send it: words may be left.")
    return EXIT_DONE


def _versions(redactor: Redactor) -> dict[str, Any]:
    """Numbers with three dots are no addresses here."""
    return {
        "elevator": VERSION,
        "protocol": f"{MAJOR}.{MINOR}",
        "python": redactor.names(sys.version),
        "system": redactor.names(platform.platform()),
        "sqlite": sqlite3.sqlite_version,
        "packages": {redactor.names(found.name): found.version for found in metadata.distributions()},
    }


def _facts() -> dict[str, Any]:
    catalogue = read_catalogue()
    return {
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
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
        pid = locks.holder(places.lock_file())
        return str(error) + ("" if pid is None else f" But process {pid} holds the lock of one.")
    status = ask_status(found)
    return "it does not answer" if status is None else msgspec.to_builtins(status)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - LOG_BYTES)
            file.seek(start)
            data = file.read()
    except OSError as error:
        return str(error)
    if start:  # not half a line: the half of a token does not look like one
        data = data.partition(b"\n")[2]
    text = data.decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-LOG_LINES:])


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}"
