"""Every command takes every text: keys, prompts and paths may begin with the signs that options begin with."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from elevator.arguments import ArgumentParser
from elevator.cli.shared import SHARED

COMMANDS = {
    "python -m backend": "backend.__main__",
    "python -m elevator": "elevator.cli.command_line",
    "python -m elevator.calibration.comparing": "elevator.calibration.comparing",
    "python -m elevator.pictures.animation": "elevator.pictures.animation",
    "python -m elevator.pictures.metrics": "elevator.pictures.metrics",
    "install.py": "install",
    "python -m tests.parity": "tests.parity",
}
KEY = "-rLzLwi8)r+1$=K]9sT0nVfP&xw#2>{jQ7ZcYm4D"
"""A public key as Z85 writes it; one in forty or so begins with `-` or `@`."""
TEXTS = (
    KEY,
    f"@{KEY[1:]}",
    "-",
    "-1",
    "-h is a letter",
    "-hair",
    "--hair",
    "--hair long",
    "--=",
    "@file",
    "",
    "- a cat",
)


class _Parser(Exception):
    """Carries a command's parser out before it reads its words."""


def parsers(command: str) -> dict[str, ArgumentParser]:
    """A command's parser, and those of its sub-commands by their names, made anew."""

    def carry(self: ArgumentParser, args: object = None, namespace: object = None) -> Any:
        raise _Parser(self)

    main = importlib.import_module(COMMANDS[command]).main
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArgumentParser, "parse_known_args", carry)
        with pytest.raises(_Parser) as carried:
            main([])
    parser: ArgumentParser = carried.value.args[0]
    subs = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {"": parser} | {name: sub for action in subs for name, sub in action.choices.items()}


def reader(command: str, name: str, dest: str) -> Callable[..., Any]:
    """Gives what a command makes of words for one argument, which takes any text here; nothing else is asked for."""
    found = parsers(command)
    for action in found[name]._actions:
        action.required = False
        if action.dest == dest:
            action.type, action.choices = None, None
        elif not action.option_strings and action.nargs != argparse.PARSER:
            action.nargs = "?"

    def read(*words: str) -> Any:
        value = getattr(found[""].parse_args([name, *words] if name else words), dest)
        return value[-1] if isinstance(value, list) else value

    return read


def arguments(command: str) -> list[tuple[str, argparse.Action]]:
    """All that a command takes, each with its sub-command."""
    taken = [(name, action) for name, parser in parsers(command).items() for action in parser._actions]
    return [(name, action) for name, action in taken if action.nargs not in (0, argparse.PARSER)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_takes_every_text(command: str) -> None:
    assert arguments(command)
    for name, action in arguments(command):
        read = reader(command, name, action.dest)
        for option, text in product(action.option_strings, TEXTS):
            if action.nargs is None:
                assert read(option, text) == text, (name, option, text)
            elif action.nargs in ("+", "*"):  # several words; such a one is a list of one
                assert read(f"{option}={text}") == text, (name, option, text)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_without_an_option_takes_every_text(command: str) -> None:
    for name, action in arguments(command):
        if not action.option_strings:
            read = reader(command, name, action.dest)
            for text in TEXTS:
                assert read("--", text) == text, (name, text)
                assert " " not in text or read(text) == text, (name, text)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_in_place_of_a_value_says_that_the_value_is_missing(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else `--out --overwrite` would make a folder called --overwrite."""
    for name, action in arguments(command):
        if action.option_strings and action.nargs is None:
            option, read = action.option_strings[0], reader(command, name, action.dest)
            for following in ("--help", "--"):
                with pytest.raises(SystemExit):
                    read(option, following)
                assert f"{option}: expected one argument" in capsys.readouterr().err
            assert read(f"{option}=--help") == "--help"


SAMPLER, BACKEND = "python -m elevator", "python -m backend"
OWN_TYPES = {"--lora", "--device"}
"""What the backend reads into messages of its own, or several of; their texts are compared below."""
OTHERS = {("report", "--out"), ("", "--version"), ("", "--help"), ("", "-h")}
"""What a command of the backend means by an option's name that is not a clip's."""


def options(command: str, name: str) -> dict[str, argparse.Action]:
    """The options of a command, and its prompt."""
    actions = parsers(command)[name]._actions
    return {text: action for action in actions for text in action.option_strings or (action.dest,) if text != "-h"}


def rest(option: str, action: argparse.Action) -> str:
    """What a command says of an option behind the words that both share."""
    words = SHARED[option][0] if option in SHARED else action.help or ""
    assert (action.help or "").startswith(words), option
    return (action.help or "").removeprefix(words)


def test_what_both_command_lines_have_is_read_alike() -> None:
    ours = options(SAMPLER, "")
    both = set()
    for name in parsers(BACKEND):
        theirs = options(BACKEND, name)
        for option in ours.keys() & theirs.keys() - {"--help", "--version"}:
            if (name, option) in OTHERS:
                continue
            one, other = ours[option], theirs[option]
            assert (one.metavar, one.nargs, type(one)) == (other.metavar, other.nargs, type(other)), (name, option)
            assert option in OWN_TYPES or one.type is other.type, (name, option)
            if name == "generate":
                both.add(option)
                for each in (one, other):
                    rest(option, each)
    assert both == SHARED.keys()


@pytest.mark.parametrize(
    ("option", "texts"),
    [
        ("--device", ("auto", "cpu", "cuda", "cuda:1", "xpu", "xpu:1", "mps", "mps:0", "tpu", "cuda:", "cuda:123", "")),
        ("--lora", ("ink", "ink:0.8", "ink.safetensors:-1", "ink:1e3")),
    ],
)
def test_what_is_read_into_other_types_has_the_same_grammar(option: str, texts: tuple[str, ...]) -> None:
    def value(action: argparse.Action, text: str) -> Any:
        assert callable(action.type)
        try:
            read = action.type(text)
        except argparse.ArgumentTypeError:
            return None
        return getattr(read, "weight", read)

    for text in texts:
        assert value(options(SAMPLER, "")[option], text) == value(options(BACKEND, "generate")[option], text), text


def test_the_document_has_one_table_of_both() -> None:
    ours, theirs = options(SAMPLER, ""), options(BACKEND, "generate")

    def cell(option: str, actions: dict[str, argparse.Action]) -> str:
        if option not in actions:
            return "–"
        own = rest(option, actions[option]).lstrip(" ;:,")
        return (own[1:-1] if own.startswith("(") else own) or "✓"

    rows = []
    for option in (*ours, *(option for option in theirs if option not in ours)):
        action = ours.get(option) or theirs[option]
        choices = ", ".join(map(str, action.choices)) if action.choices else ""
        value = action.metavar or choices or ("" if action.nargs in (0, "?") else action.dest.upper())
        words = SHARED[option][0] if option in SHARED else action.help or ""
        if option not in ("--help", "--version"):
            cells = (f"`{option}`", f"`{value}`" if value else "", words, cell(option, ours), cell(option, theirs))
            rows.append(f"| {' | '.join(cells)} |")
    table = "\n".join(rows)
    text = Path("docs/COMMANDS.md").read_text(encoding="utf-8")
    assert f"\n{table}\n\n" in text, f"the table is to be:\n{table}"
