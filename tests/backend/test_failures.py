"""The table of failures: a row for every code, and every failure names a row and fills its words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.failures import TABLE, BackendError
from backend.server.slot import Loss
from shared_protocol.messages import FailureCode

BACKEND = Path(__file__).resolve().parents[2] / "backend"


def words(code: str) -> set[str]:
    """What a row asks for."""
    return set(re.findall(r"{(\w+)}", TABLE[code].sentence + TABLE[code].next_step))


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Where a failure is made, as `file:line`, and how."""
    for file in sorted(BACKEND.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "BackendError":
                yield f"{file.relative_to(BACKEND)}:{node.lineno}", node


def codes(call: ast.Call) -> set[str] | None:
    """The codes that the call may name; None where it says them by no literal."""
    texts = [node.value for node in ast.walk(call.args[0]) if isinstance(node, ast.Constant)]
    plain = isinstance(call.args[0], ast.Constant | ast.IfExp)
    return {text for text in texts if isinstance(text, str)} if plain else None


@pytest.mark.parametrize("call", [pytest.param(call, id=where) for where, call in raised()])
def test_every_failure_names_a_row_and_fills_its_words(call: ast.Call) -> None:
    named = codes(call)
    if named is None:
        return
    given = {word.arg for word in call.keywords}
    for code in named:
        assert None in given or words(code) - TABLE[code].defaults.keys() <= given <= words(code), (code, given)


def test_only_losses_of_workers_and_the_test_pictures_say_their_code_by_no_literal() -> None:
    calls = {where.partition(":")[0]: call for where, call in raised() if codes(call) is None}
    assert calls.keys() == {"server/scheduler.py", "worker/fake.py"}
    for loss in (Loss.ENDED, Loss.STUCK):  # a disobedient one was to be cancelled, which is no failure
        assert words(loss.value) == {"log"}


def test_every_row_is_used() -> None:
    named = {code for _, call in raised() for code in codes(call) or ()} | {loss.value for loss in Loss}
    text = "".join(file.read_text(encoding="utf-8") for file in BACKEND.rglob("*.py") if file.name != "failures.py")
    unused = {code for code in TABLE.keys() - named if f'"{code}"' not in text}
    assert unused == set()


def test_the_table_has_a_row_for_every_code_on_the_wire() -> None:
    codes = set(FailureCode.__args__)  # type: ignore[attr-defined]
    assert codes <= set(TABLE)


@pytest.mark.parametrize("code", TABLE)
def test_every_row_is_a_sentence_and_a_next_step(code: str) -> None:
    row = TABLE[code]
    details = dict.fromkeys(re.findall(r"{(\w+)}", row.sentence + row.next_step), "x.")
    error = BackendError(code, **details)
    for text in (error.sentence, error.next_step):
        assert text[0].isupper() or text[0] == "x"
        assert text.endswith((".", '"'))
    assert 1 <= error.exit_code <= 130
