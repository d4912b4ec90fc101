"""Commands of the backend that take a while: each is a process of its own, looked at now and then. No bpy."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from shared_protocol.machine import places

from ..clip.job import NO_BACKEND, Problem
from ..clip.words import Phrase, sentences
from .backend_process import BackendError, doctor_command, find
from .command_process import CommandProcess


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
        self._process: CommandProcess | None = None
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
        process = self._process
        if process is None or (code := process.exit_code) is None:
            return False
        said, last = process.new_lines(), process.last_line()
        name, self._name, self._process = self._name, "", None
        process.close()
        if name == "doctor":
            self._take_findings(said[-1:], last, code)
        elif code == 0 and self._file is not None:
            self.report = self._file
        else:
            self.problem = failed(sentences(Phrase("The report was not written."), it_said(last)))
        return True

    def close(self) -> None:
        """End what runs."""
        if self._process is not None:
            self._process.close()
            self._process, self._name = None, ""

    def _start(self, name: str, *more: str) -> None:
        if self._process is None:
            self._process, self.problem = started(name, *more)
            self._name = name if self._process is not None else ""

    def _take_findings(self, line: list[bytes], last: str, code: int) -> None:
        try:
            self.findings = msgspec.json.decode(line[0] if line else b"", type=_Doctor).findings
        except (msgspec.DecodeError, UnicodeDecodeError):
            ended = Phrase("The check of the set-up ended with exit code {code}.", code=code)
            self.problem = failed(sentences(ended, it_said(last)))


def started(*arguments: str) -> tuple[CommandProcess | None, Problem | None]:
    """A command that runs now, or why it does not."""
    try:
        return CommandProcess(*arguments), None
    except BackendError as error:
        return None, Problem(error.sentence, error.next_step, error.command, NO_BACKEND)
    except OSError as error:
        why = error.strerror or str(error)
        return None, failed(Phrase("The command {name} could not be started: {why}.", name=arguments[0], why=why))


def failed(sentence: str) -> Problem:
    """What to say of a command that brought nothing."""
    try:
        root: Path | None = find().root
    except BackendError:
        root = None
    return Problem(sentence, "Run this in a terminal.", doctor_command(root), NO_BACKEND)


def it_said(line: str) -> str:
    """What a command has said last, as a sentence, or nothing."""
    return Phrase("It said: {words}", words=line) if line else ""


def last_log() -> Path | None:
    """The backend's log that was written last."""
    logs = [path for path in (places.log_file(), places.start_log_file()) if path.is_file() and path.stat().st_size]
    return max(logs, key=lambda path: path.stat().st_mtime, default=None)
