"""PROTOCOL.md and the code say the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from shared_protocol import messages, wire
from shared_protocol.client import HEARTBEAT_TIMEOUT_MS, SILENCE_SECONDS
from shared_protocol.connection import Connection
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


def parts_of(kinds: Iterable[type]) -> set[type]:
    """The structs within the fields of these, and within theirs."""
    found: set[type] = set()
    seen = [msgspec.inspect.type_info(kind) for kind in kinds]
    while seen:
        info = seen.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                continue
            found.add(info.cls)
            seen += [field.type for field in info.fields]
        seen += [getattr(info, name) for name in ("item_type", "key_type", "value_type") if hasattr(info, name)]
        seen += getattr(info, "types", ())
    return found - set(kinds)


PARTS = parts_of((*REQUESTS, *EVENTS))


@pytest.mark.parametrize("kind", [*REQUESTS, *EVENTS, *sorted(PARTS, key=lambda part: part.__name__)])
def test_every_message_and_field_is_described(kind: type[msgspec.Struct]) -> None:
    assert fields_in(sections()[kind.__name__]) == set(kind.__struct_fields__)


def test_no_message_is_described_that_does_not_exist() -> None:
    kinds = {kind.__name__ for kind in (*REQUESTS, *EVENTS)}
    headings = re.findall(r"^### (.+)$", TEXT, flags=re.MULTILINE)
    assert set(headings) == kinds
    assert set(re.findall(r"^#### (.+)$", TEXT, flags=re.MULTILINE)) == {part.__name__ for part in PARTS}


def test_the_connection_file_is_described() -> None:
    assert fields_in(sections()["The connection file"]) == set(Connection.__struct_fields__)


def test_every_code_and_phase_is_described() -> None:
    assert fields_in(sections()["Errors"]) == set(get_args(messages.FailureCode))
    assert fields_in(sections()["Denials"]) == set(get_args(messages.DenialCode))
    assert fields_in(sections()["States of a job"]) == set(get_args(messages.JobState))
    refusals = next(line for line in sections()["Refused"].splitlines() if line.startswith("| `code`"))
    assert set(re.findall(r"`(\w+)`", refusals.split("|")[2])) == {"version", "malformed", "not_authorized"}
    phases = next(line for line in sections()["Progress"].splitlines() if line.startswith("| `phase`"))
    assert set(re.findall(r"`(\w+)`", phases)) - {"phase"} == set(get_args(messages.Phase))


def test_numbers_agree() -> None:
    assert f"version {messages.MAJOR}.{messages.MINOR}" in TEXT
    assert f"`{wire.TAG.decode()}`" in TEXT
    assert f"| header | {wire.MAX_HEADER_BYTES >> 20} MiB |" in TEXT
    parts = f"in parts of at most {wire.CHUNK_BYTES >> 10} KiB"
    assert f"| one uploaded file | {messages.MAX_UPLOAD_BYTES >> 20} MiB, {parts} |" in TEXT
    assert f"| one buffer | {wire.MAX_BUFFER_BYTES >> 20} MiB |" in TEXT
    assert f"after {HEARTBEAT_TIMEOUT_MS // 1000} s without" in TEXT
    assert f"after {SILENCE_SECONDS:.0f} s without" in TEXT


def test_limits_of_fields_agree() -> None:
    """Every field whose type is an integer with limits of its own states them."""
    for kind in (*REQUESTS, *EVENTS):
        info = msgspec.inspect.type_info(kind)
        assert isinstance(info, msgspec.inspect.StructType)
        text = sections()[kind.__name__]
        for field in info.fields:
            line = next((line for line in text.splitlines() if re.match(rf"\| [^|]*`{field.name}`", line)), "")
            stated = re.search(r"\| integer, (-?\d[\d ]*)–([\d ³¹−]+) \|", line)
            if stated and isinstance(field.type, msgspec.inspect.IntType):
                most = 2**31 - 1 if "³¹" in stated[2] else int(stated[2].replace(" ", ""))
                assert (int(stated[1]), most) == (field.type.ge, field.type.le), line


def test_the_transcript_is_made_of_real_messages() -> None:
    lines = re.findall(r"^    ([<>]) (\{.*\})(?: \+ (\d+) bytes)?$", sections()["A transcript"], flags=re.MULTILINE)
    whole = [line for line in lines if "…" not in re.sub(r"[0-9a-f]{6}…\"", "", line[1])]
    assert len(whole) >= 25
    told = set()
    for direction, shortened, size in whole:
        padded = re.sub(r'"(job|source|client_id|session)":"([0-9a-f]{6})…"', _pad(32), shortened)
        padded = re.sub(r'"(sha256|anchor|footage)":(?:\[)?"([0-9a-f]{6})…"', _pad(64), padded)
        decode = wire.decode_request if direction == ">" else wire.decode_event
        message = decode([wire.TAG, padded.encode(), *([b"x"] if size else [])]).message
        told.add(type(message))
        fields = msgspec.json.decode(padded)
        assert set(fields) - {"type"} == set(message.__struct_fields__), "it was made by an older version"
    missing = {kind.__name__ for kind in (*REQUESTS, *EVENTS)} - {kind.__name__ for kind in told}
    assert len(missing) < 12, missing


def _pad(length: int) -> Callable[[re.Match[str]], str]:
    def pad(match: re.Match[str]) -> str:
        return match[0].replace(f"{match[2]}…", f"{match[2]:0<{length}}")

    return pad
