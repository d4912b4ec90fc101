"""PROTOCOL.md and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from shared_protocol import messages, wire
from shared_protocol.client import HEARTBEAT_TIMEOUT_MS, SILENCE_SECONDS
from shared_protocol.connection import Connection
from shared_protocol.messages import Message
from tests.protocol.strategies import EVENTS, REQUESTS

TEXT = (Path(messages.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")


def sections() -> dict[str, str]:
    """The text under each heading."""
    parts = re.split(r"^#+ (.+)$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def fields_in(text: str) -> set[str]:
    """Names in the first column of the tables."""
    cells = re.findall(r"^\| (`[^|]+) \|", text, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("kind", [*REQUESTS, *EVENTS])
def test_every_message_and_field_is_described(kind: type[Message]) -> None:
    described = fields_in(sections()[kind.__name__])
    styled = set(messages.Style.__struct_fields__) if kind is messages.Welcome else set()
    assert described == set(kind.__struct_fields__) | styled


def test_no_message_is_described_that_does_not_exist() -> None:
    kinds = {kind.__name__ for kind in (*REQUESTS, *EVENTS)}
    headings = re.findall(r"^### (.+)$", TEXT, flags=re.MULTILINE)
    assert set(headings) == kinds


def test_the_connection_file_is_described() -> None:
    assert fields_in(sections()["The connection file"]) == set(Connection.__struct_fields__)


def test_every_code_and_phase_is_described() -> None:
    assert fields_in(sections()["Errors"]) == set(get_args(messages.FailureCode))
    phases = next(line for line in sections()["Progress"].splitlines() if line.startswith("| `phase`"))
    assert set(re.findall(r"`(\w+)`", phases)) - {"phase"} == set(get_args(messages.Phase))


def test_numbers_agree() -> None:
    assert f"version {messages.MAJOR}.{messages.MINOR}" in TEXT
    assert f"`{wire.TAG.decode()}`" in TEXT
    assert f"| header | {wire.MAX_HEADER_BYTES >> 20} MiB |" in TEXT
    assert f"| one buffer | {wire.MAX_BUFFER_BYTES >> 20} MiB |" in TEXT
    assert f"after {HEARTBEAT_TIMEOUT_MS // 1000} s without" in TEXT
    assert f"after {SILENCE_SECONDS:.0f} s without" in TEXT


def test_the_transcript_is_made_of_real_messages() -> None:
    lines = re.findall(r"^    [<>] (\{.*\})", sections()["A transcript"], flags=re.MULTILINE)
    whole = [line for line in lines if "…" not in line.replace('…"', '"')]
    assert len(whole) >= 10
    decoder = msgspec.json.Decoder(messages.Request | messages.Event)
    for line in whole:
        job = re.sub(r'"job":"([0-9a-f]+)…?"', lambda match: f'"job":"{match[1]:0<32}"', line)
        decoder.decode(job)
