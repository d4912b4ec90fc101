"""Commands of the backend that tell what they do in lines of JSON, each a process of its own. No bpy.

So a download of gigabytes holds up nothing, and goes on where it was when it is asked for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from ..clip.job import Problem
from ..clip.words import Phrase, sentences
from .backend_commands import failed, it_said, started
from .command_process import CommandProcess


class Error(msgspec.Struct, frozen=True, tag=True):
    """Why a command failed."""

    message: str
    next_step: str = ""


class ToldCommands:
    """A group of commands, of which one runs at a time."""

    GROUP: ClassVar[str]
    """Its word on the command line."""

    def __init__(self) -> None:
        self.problem: Problem | None = None
        """Why the last command brought nothing."""
        self.made = 0
        """How many times styles were made or changed by these commands since Blender's start."""
        self._name = ""
        self._target = ""
        self._process: CommandProcess | None = None
        self._error: Error | None = None
        self._stopped = False

    @property
    def running(self) -> str:
        """The command that runs, such as list; or nothing."""
        return self._name

    @property
    def target(self) -> str:
        """What the command that runs, or ran last, is about: its first word."""
        return self._target

    def stop(self) -> None:
        """End what runs. A download goes on from there another time."""
        if self._process is not None:
            self._stopped = True
            self._process.stop()

    def look(self) -> bool:
        """Take in what the command says. Whether there is something new. Never blocks."""
        process = self._process
        if process is None:
            return False
        code = process.exit_code
        lines = process.new_lines()
        for line in lines:
            self._hear(line)
        if code is None:
            return bool(lines)
        last = process.last_line()
        name, self._name, self._process = self._name, "", None
        process.close()
        if code == 0:
            self._took(name)
        elif not self._stopped:
            self.problem = self._why(name, last)
        self._ended()
        return True

    def close(self) -> None:
        """End what runs."""
        if self._process is not None:
            self._process.close()
            self._process, self._name = None, ""
            self._ended()

    def _start(self, name: str, *values: str, options: Sequence[str] = ()) -> bool:
        """Start a command, unless one runs. Whether it runs now."""
        if self._process is not None:
            return False
        self._error, self._stopped = None, False
        # Behind the options: a folder may be called like one.
        words = (self.GROUP, name, "--json", *options, *(["--", *values] if values else []))
        self._process, self.problem = started(*words)
        if self._process is None:
            return False
        self._name, self._target = name, values[0] if values else ""
        return True

    def _hear(self, line: bytes) -> None:
        """Take in a line that the command has said. One that is of another kind may be a library's warning."""
        raise NotImplementedError

    def _took(self, name: str) -> None:
        """The command has done what it should."""
        raise NotImplementedError

    def _ended(self) -> None:
        """The command has ended, however it did."""

    def _why(self, name: str, last: str) -> Problem:
        if self._error is not None:
            return Problem(self._error.message, self._error.next_step)
        return failed(sentences(Phrase("The command {name} failed.", name=f"{self.GROUP} {name}"), it_said(last)))
