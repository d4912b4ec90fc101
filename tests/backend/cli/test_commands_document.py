"""docs/COMMANDS.md says what the commands are."""

from __future__ import annotations

import argparse
import dataclasses
import re

import msgspec
import pytest

from backend import __main__, failures
from backend.cli import batch_file, output
from backend.client import api
from backend.client.wish import Wish
from backend.serve_options import ServeOptions
from elevator import arguments
from elevator.cli import command_line, options
from shared_protocol import messages
from tests.backend.harness import ROOT

TEXT = (ROOT / "docs" / "COMMANDS.md").read_text(encoding="utf-8")


def table(head: str) -> list[list[str]]:
    """Cells of the table whose header starts so."""
    after = TEXT.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in after]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = [action for action in __main__._parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(action.choices)


def test_all_commands_are_documented_and_no_others() -> None:
    assert {text.split()[0] for row in table("command") for text in quoted(row[0])} == set(commands())


def test_all_options_that_it_names_exist() -> None:
    every = [*commands().values()]
    for command in every:  # those of commands within commands, too
        inner = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
        every += [each for action in inner for each in action.choices.values()]
    known = {text for command in every for action in command._actions for text in action.option_strings}
    known |= options.parser()._option_string_actions.keys() | {"--torch", "--torch-index"}  # install.py's
    named = set(re.findall(r"--[a-z][a-z0-9-]*", TEXT))
    assert named <= known


def test_what_it_says_of_a_backends_defaults_is_so() -> None:
    serving = TEXT.partition("## Serving")[2].partition("## ")[0]
    stated = {
        option.split()[0]: int(number)
        for row in re.findall(r"^\| (`--.*)$", serving, re.MULTILINE)
        for option, number in zip(quoted(row.partition(" | ")[0]), re.findall(r"\((\d+)\)", row), strict=False)
    }
    assert {"--idle", "--silence", "--keep", "--keep-gb", "--guest-gb"} == set(stated)
    for command, words in (("serve", []), ("service", ["install"])):
        given = vars(commands()[command].parse_args(words))
        assert {option: round(given[option[2:].replace("-", "_")]) for option in stated} == stated
    options = vars(commands()["serve"].parse_args([]))
    assert (options["device"], options["model_memory"], options["bind"], options["authorize"]) == ("auto", 0, None, [])
    served = ServeOptions()
    assert (served.grace, options["grace"]) == (60, 60)
    for name, of_served in (("idle", served.idle), ("silence", served.silence), ("keep", served.kept_results)):
        assert options[name] == of_served
    assert [int(options[name] * 1e9) for name in ("keep_gb", "guest_gb")] == [served.kept_bytes, served.guest_bytes]
    assert not any((served.fake, served.stay, served.log_prompts, served.bind, served.memory_budget, served.authorize))


def test_exit_codes_are_those_of_the_table() -> None:
    documented = {int(row[0]) for row in table("exit code")}
    assert documented == {value for name, value in vars(failures).items() if name.startswith("EXIT_")}
    assert set(map(int, re.findall(r"(\d+) [a-z]", (__main__.__doc__ or "").partition("Exit codes:")[2]))) == documented


def test_both_command_lines_mean_the_same_by_an_exit_code() -> None:
    for name in ("DONE", "TO_CHANGE", "INTERNAL", "INTERRUPTED"):
        assert getattr(command_line, name) == getattr(failures, f"EXIT_{name}")
    assert arguments.EXIT_UNREAD == failures.EXIT_UNREAD
    said = (options.__doc__ or "").partition("Exit codes:")[2]
    known = re.search(r"it knows ([\d, and]+)\.", TEXT)
    assert known is not None
    assert re.findall(r"(\d+) [a-z]", said) == re.findall(r"\d+", known[1])


def test_columns_are_those_of_batches() -> None:
    named = [name for row in table("column") if "other" not in row[0] for name in quoted(row[0])]
    assert sorted(named) == sorted(batch_file._COLUMNS)


@pytest.mark.parametrize("kind", output.JsonLine.__subclasses__(), ids=lambda kind: kind.__name__)
def test_fields_of_lines_are_documented(kind: type[msgspec.Struct]) -> None:
    (row,) = [row for row in table("type") if quoted(row[0]) == [kind.__name__]]
    assert quoted(row[1]) == list(kind.__struct_fields__)


def test_messages_that_it_names_exist() -> None:
    paragraph = TEXT.partition("Events of jobs are")[2].partition("Beside them")[0]
    for name in quoted(paragraph):
        assert name.startswith("--") or hasattr(messages, name)


def test_the_example_is_that_of_the_module() -> None:
    code = TEXT.partition("```python\n")[2].partition("```")[0]
    assert "\n".join(f"    {line}" if line else "" for line in code.splitlines()) in (api.__doc__ or "")
    assert len(code.splitlines()) <= 10


def test_what_python_offers_is_there() -> None:
    text = TEXT.partition("`submit` takes what")[2]
    fields = {field.name for field in dataclasses.fields(Wish)}
    assert set(quoted(text.partition(" It returns")[0])[1:]) <= fields
    for name in quoted(text.partition("`backend` has also ")[2].partition("\n")[0]):
        assert hasattr(api.Backend, name)
