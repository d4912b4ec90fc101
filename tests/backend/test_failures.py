"""The rows of failures: every call names rows that exist and fills their words, and every row is used."""

from __future__ import annotations

import ast
import errno
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from backend import failures
from backend.cli.failures import COMMAND, CommandCode, CommandFailure
from backend.client.failures import CLIENT, ClientCode, ClientFailure, SaidByBackend, cannot_write, cannot_write_home
from backend.failures import WIRE, Denial, Failure, StorageCode, StorageFailure, Wording, cannot_keep
from backend.models.failures import MODELS, ModelCode, ModelFailure
from backend.server.failures import START, StartCode, StartFailure
from shared_protocol.messages import SENTENCE_LENGTH, AskStatus, DenialCode, Denied, Failed, FailureCode

BACKEND = Path(__file__).resolve().parents[2] / "backend"
EXITS = {value for name, value in vars(failures).items() if name.startswith("EXIT_")}
KINDS: dict[type[Any], tuple[Mapping[Any, Wording], set[str]]] = {
    Failure: (WIRE, set(get_args(FailureCode))),
    Denial: (WIRE, set(get_args(DenialCode))),
    StorageFailure: (WIRE, set(get_args(StorageCode))),
    ClientFailure: (CLIENT, set(get_args(ClientCode))),
    StartFailure: (START, set(get_args(StartCode))),
    CommandFailure: (COMMAND, set(get_args(CommandCode))),
    ModelFailure: (MODELS, set(get_args(ModelCode))),
}
"""Each kind with the rows and the codes that it may have."""
TABLES: dict[str, Mapping[Any, Wording]] = {
    "wire": WIRE,
    "client": CLIENT,
    "start": START,
    "command": COMMAND,
    "models": MODELS,
}
BY_NAME = {kind.__name__: kind for kind in KINDS}
ROWS = [(kind, code) for kind, (_, codes) in KINDS.items() for code in sorted(codes)]


def words(row: Wording) -> set[str]:
    """What a row asks of whoever fails; how commands are typed it knows itself."""
    return set(re.findall(r"{(\w+)}", row.sentence + row.next_step)) - {"launcher", "mending"}


def made(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.Call]]:
    """Where a failure is made, with the name of its kind; a kind of a kind says its code by `super().__init__`."""
    for node in ast.iter_child_nodes(tree):
        inside = within
        if isinstance(node, ast.ClassDef):
            inside = next((base.id for base in node.bases if isinstance(base, ast.Name) and base.id in BY_NAME), "")
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).split(".")[-1]
            kind = within if ast.unparse(node.func) == "super().__init__" else called
            if kind in BY_NAME:
                yield kind, node
        yield from made(node, inside)


CALLS = [
    (f"{file.relative_to(BACKEND).as_posix()}:{call.lineno}", BY_NAME[kind], call)
    for file in sorted(BACKEND.rglob("*.py"))
    for kind, call in made(ast.parse(file.read_text(encoding="utf-8")))
]


def named(call: ast.Call) -> set[str]:
    """The codes that a call may name; none where it says them by no literal."""
    match call.args:
        case [ast.Constant(value=str(code))]:
            return {code}
        case [ast.IfExp(body=ast.Constant(value=str(one)), orelse=ast.Constant(value=str(other)))]:
            return {one, other}
    return set()


@pytest.mark.parametrize(("kind", "call"), [pytest.param(kind, call, id=where) for where, kind, call in CALLS])
def test_every_call_names_a_row_and_fills_its_words(kind: type[Any], call: ast.Call) -> None:
    rows, codes = KINDS[kind]
    assert named(call) <= codes
    given = {word.arg for word in call.keywords}
    for code in named(call):
        assert words(rows[code]) - rows[code].defaults.keys() <= given <= words(rows[code]), (code, given)


def test_the_test_pictures_alone_say_their_code_by_no_literal() -> None:
    assert [where.partition(":")[0] for where, _, call in CALLS if not named(call)] == ["worker/fake.py"]


@pytest.mark.parametrize(
    "rows", [WIRE, CLIENT, START, COMMAND, MODELS], ids=["wire", "client", "start", "command", "models"]
)
def test_every_row_is_used(rows: Mapping[str, Wording]) -> None:
    used = {code for _, kind, call in CALLS if KINDS[kind][0] is rows for code in named(call)}
    assert used == rows.keys()


def test_every_code_has_a_row_and_every_row_a_code() -> None:
    for rows in TABLES.values():
        assert rows.keys() == set().union(*(codes for of, codes in KINDS.values() if of is rows))


@pytest.mark.parametrize(("kind", "code"), ROWS, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_every_row_is_a_sentence_and_a_next_step(kind: type[Any], code: str) -> None:
    row = KINDS[kind][0][code]
    error = kind(code, **dict.fromkeys(words(row), "x."))
    for text in (error.sentence, error.next_step):
        assert text[0].isupper() or text[0] == "x"
        assert text.endswith((".", '"'))
    assert error.code == code
    assert error.exit_code in EXITS - {failures.EXIT_DONE}


def test_what_is_not_said_is_filled_in_and_long_texts_are_cut() -> None:
    assert "the clip is too large for it" in Failure("out_of_memory").sentence
    assert len(Failure("bad_request", detail="x" * 9999).sentence) == SENTENCE_LENGTH


def test_what_goes_over_the_wire_comes_back_as_it_was_said() -> None:
    failure, denial = Failure("queue_full", most=3), Denial("unknown_job")
    for error, event in ((failure, failure.as_event("a" * 32)), (denial, denial.as_answer(AskStatus(), ""))):
        assert isinstance(event, Failed | Denied)
        said = SaidByBackend(event)
        assert (said.code, str(said), said.exit_code) == (error.code, str(error), error.exit_code)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES])
def test_a_full_disk_is_told_from_one_that_may_not_be_written(number: int) -> None:
    error = OSError(number, "as the test asked")
    codes = [say(Path("/x"), error).code for say in (cannot_keep, cannot_write, cannot_write_home)]
    if number == errno.EACCES:
        assert codes == ["results_unwritable", "folder_unwritable", "home_unwritable"]
    else:
        assert codes == ["disk_full"] * 3
