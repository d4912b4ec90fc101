"""The log cannot be forged: whatever comes from outside stays on its record's line, and can be seen there."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend import logs
from backend.logs import CONTINUED, OneLine, visible
from shared_protocol.machine import places
from shared_protocol.messages import Done, Hello
from tests.backend.harness import greet, running

RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \d+ [A-Z]+ \S+: ")
FORGED = "x\n2026-01-01 00:00:00,000 1 CRITICAL root: forged\x1b[31m\r\u202e\u2028\x85\ud800"
TEXTS = st.text() | st.text(
    "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x1b\x00\x7f\x9b\u202e\u2066\ud800\udcff |0", max_size=30
)


def record(message: str, *details: object, error: BaseException | None = None, stack: str | None = None) -> str:
    """A record, as it stands in the log."""
    trace = None if error is None else (type(error), error, error.__traceback__)
    return OneLine().format(
        logging.LogRecord("backend.test", logging.INFO, __file__, 1, message, details, trace, sinfo=stack)
    )


def raised(text: str) -> BaseException:
    try:
        try:
            raise KeyError(text)
        except KeyError as error:
            raise ValueError(text) from error
    except ValueError as error:
        return error


@given(TEXTS)
@example(FORGED)
def test_a_text_is_one_line_in_which_all_is_seen(text: str) -> None:
    shown = record("A client has come: %s.", text)
    assert shown.isprintable()
    assert RECORD.match(shown)
    assert shown.encode("utf-8").splitlines() == [shown.encode("utf-8")]


@given(TEXTS, TEXTS)
@example(FORGED, FORGED)
def test_what_belongs_to_a_record_is_told_from_records(message: str, text: str) -> None:
    first, *below = record("%s", message, error=raised(text), stack=text).split("\n")
    assert RECORD.match(first)
    assert first.isprintable()
    assert below
    for line in below:
        assert line.startswith(CONTINUED)
        assert not RECORD.match(line)
        assert line.isprintable()


def test_a_traceback_can_be_read() -> None:
    shown = record("A job failed.", error=raised("no such thing"))
    lines = [line.removeprefix(CONTINUED) for line in shown.split("\n")[1:]]
    assert lines[0] == "Traceback (most recent call last):"
    assert f'  File "{__file__}", line ' in lines[1]
    assert "    raise KeyError(text)" in lines
    assert lines[-1] == "ValueError: no such thing"


@pytest.mark.parametrize("text", ["plain", "影 – ×, “words”", "C:\\Users\\x", "'it\\'s'", ""])
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_what_cannot_is_written_as_python_does() -> None:
    assert visible("a\nb\x1b\t\u202e\ud800\U000e0001") == "a\\nb\\x1b\\t\\u202e\\ud800\\U000e0001"


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Path]:
    """Where this process logs for the length of a test."""
    root = logging.getLogger()
    before, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    file = tmp_path / "state" / "backend.log"
    logs.start(file)
    yield file
    for handler in root.handlers:
        handler.close()
    logging.captureWarnings(False)
    root.handlers[:], root.level, logging.raiseExceptions = before, level, raising


def test_nothing_is_lost_for_want_of_an_encoding(written: Path) -> None:
    root, log = logging.getLogger(), logging.getLogger("test")
    # Not into pytest's own record, which goes from process to process as UTF-8.
    root.handlers[:] = [handler for handler in root.handlers if isinstance(handler, RotatingFileHandler)]
    log.warning("%s", FORGED)
    log.error("One more.", exc_info=raised(FORGED))
    text = written.read_text(encoding="utf-8")
    records = [line for line in text.splitlines() if RECORD.match(line)]
    assert len(records) == 2
    assert all(RECORD.match(line) or line.startswith(CONTINUED) for line in text.splitlines())
    assert "forged\\x1b[31m\\r\\u202e\\u2028\\x85\\ud800" in records[0]


@pytest.mark.skipif(sys.platform == "win32", reason="the log's file is open")
def test_a_client_cannot_write_records_of_its_own(home: Path) -> None:
    name = FORGED.replace("\ud800", "")[:64]
    assert "\n" in name
    assert "\x1b" in name
    with running("--log-prompts") as backend, backend.client() as client:
        greet(client)
        client.client.send(Hello(client=name))  # as ours would never call itself
        job = client.submit(f"a fox{FORGED.replace(chr(0xD800), '')}")
        assert isinstance(client.end_of(job), Done)
    for file in places.state_folder().glob("*.log"):
        for line in file.read_bytes().splitlines():
            text = line.decode("utf-8")
            assert not text.startswith("2026-01-01"), file
            assert text.isprintable(), (file, text)
    log = places.log_file().read_text(encoding="utf-8")
    assert "A client has come: x\\n2026-01-01 00:00:00,000 1 CRITICAL root: forged\\x1b[31m\\r" in log
    assert "a fox" in log
