"""Commands of the backend, run in this process: quicker than a process each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from backend.__main__ import main


class Done(NamedTuple):
    """A command at its end."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Of a command with --json."""
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Done]


def caller(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs one command."""

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return call
