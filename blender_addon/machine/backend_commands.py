"""Commands of the backend that take a while: each is a process of its own, looked at now and then. No bpy."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from shared_protocol.machine import files, places
from shared_protocol.starting import clean_environment

from ..clip.job import NO_BACKEND, Problem
from ..clip.words import Phrase, sentences
from .backend_process import BackendError, doctor_command, find


class Finding(msgspec.Struct, frozen=True):
    """What `doctor` has found."""

    what: str
    remedy: str = ""
    """What mends it; empty: nothing is wrong."""
    needed: bool = True
    """Whether no clip is made before it is mended."""


class _Doctor(msgspec.Struct):
    findings: tuple[Finding, ...]


class BackendCommands:
    """`doctor` and `report`. One of them runs at a time."""

    def __init__(self) -> None:
        self.findings: tuple[Finding, ...] | None = None
        """Of the last `doctor`; None: there was none yet."""
        self.report: Path | None = None
        """The file that the last `report` has written."""
        self.problem: Problem | None = None
        """Why the last command brought nothing."""
        self._name = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._said: Any = None
        self._file: Path | None = None

    @property
    def running(self) -> str:
        """The command that runs, or nothing."""
        return self._name

    def examine(self) -> None:
        """Start `doctor`."""
        self._start("doctor", "--json")

    def write_report(self) -> None:
        """Start `report`."""
        self._file = places.state_folder() / f"elevator-report-{time.strftime('%Y%m%d-%H%M%S')}.zip"
        self._start("report", "--out", str(self._file))

    def look(self) -> bool:
        """Whether the command that runs has ended just now. Never blocks."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return False
        self._said.seek(0)
        said = self._said.read()
        self._end()
        name, self._name = self._name, ""
        if name == "doctor":
            self._take_findings(said, code)
        elif code == 0 and self._file is not None:
            self.report = self._file
        else:
            self._fail(sentences(Phrase("The report was not written."), _last_line(said)))
        return True

    def close(self) -> None:
        """End what runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._end()
            self._name = ""

    def _start(self, name: str, *more: str) -> None:
        if self._process is not None:
            return
        self.problem = None
        quiet: dict[str, Any] = {}
        if sys.platform == "win32":
            quiet["creationflags"] = subprocess.CREATE_NO_WINDOW
        try:
            install = find()
            files.make_folder(places.state_folder())
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when the process has ended
            self._process = subprocess.Popen(
                [install.python, "-m", "backend", name, *more],
                cwd=install.root,
                env={**clean_environment(os.environ), "PYTHONIOENCODING": "utf-8"},
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                **quiet,
            )
        except BackendError as error:
            self.problem = Problem(error.sentence, error.next_step, error.command, NO_BACKEND)
        except OSError as error:
            why = error.strerror or str(error)
            self._fail(Phrase("The command {name} could not be started: {why}.", name=name, why=why))
        else:
            self._name = name

    def _take_findings(self, said: bytes, code: int) -> None:
        line = said.strip().splitlines()[-1:] or [b""]
        try:
            self.findings = msgspec.json.decode(line[0], type=_Doctor).findings
        except (msgspec.DecodeError, UnicodeDecodeError):
            ended = Phrase("The check of the set-up ended with exit code {code}.", code=code)
            self._fail(sentences(ended, _last_line(said)))

    def _fail(self, sentence: str) -> None:
        try:
            root: Path | None = find().root
        except BackendError:
            root = None
        self.problem = Problem(sentence, "Run this in a terminal.", doctor_command(root), NO_BACKEND)

    def _end(self) -> None:
        self._said.close()
        self._process = self._said = None


def last_log() -> Path | None:
    """The backend's log that was written last."""
    logs = [path for path in (places.log_file(), places.start_log_file()) if path.is_file() and path.stat().st_size]
    return max(logs, key=lambda path: path.stat().st_mtime, default=None)


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return Phrase("It said: {words}", words=lines[-1].strip()[:300]) if lines else ""
