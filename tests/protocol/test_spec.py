"""PROTOCOL.md and the code say the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

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


PARTS = sorted(parts_of((*REQUESTS, *EVENTS)), key=lambda part: part.__name__)
KINDS: tuple[type[msgspec.Struct], ...] = (*REQUESTS, *EVENTS, *PARTS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_and_field_is_described(kind: type[msgspec.Struct]) -> None:
    assert fields_in(sections()[kind.__name__]) == set(kind.__struct_fields__)


def test_no_message_is_described_that_does_not_exist() -> None:
    kinds = {kind.__name__ for kind in (*REQUESTS, *EVENTS)}
    headings = re.findall(r"^### (.+)$", TEXT, flags=re.MULTILINE)
    assert set(headings) == kinds
    assert set(re.findall(r"^#### (.+)$", TEXT, flags=re.MULTILINE)) == {part.__name__ for part in PARTS}


def test_the_connection_file_is_described() -> None:
    assert fields_in(sections()["The connection file"]) == set(Connection.__struct_fields__)


def test_numbers_agree() -> None:
    assert f"version {messages.MAJOR}.{messages.MINOR}" in TEXT
    assert f"`{wire.TAG.decode()}`" in TEXT
    assert f"| header | {wire.MAX_HEADER_BYTES >> 20} MiB |" in TEXT
    parts = f"in parts of at most {wire.CHUNK_BYTES >> 10} KiB"
    assert f"| one uploaded file | {messages.MAX_UPLOAD_BYTES >> 20} MiB, {parts} |" in TEXT
    assert f"| one buffer | {wire.MAX_BUFFER_BYTES >> 20} MiB |" in TEXT
    assert f"after {HEARTBEAT_TIMEOUT_MS // 1000} s without" in TEXT
    assert f"after {SILENCE_SECONDS:.0f} s without" in TEXT


def rows_of(text: str) -> Iterator[tuple[list[str], str, str]]:
    """The rows of a table of fields: their names, the words for their type, and those for their meaning."""
    for line in [line for line in text.splitlines() if line.startswith("|")][2:]:
        names, words, meaning = (cell.strip() for cell in line.strip("|").split("|"))
        yield re.findall(r"`(\w+)`", names) or [names], words, meaning


TYPES = {name: words for (name,), words, _ in rows_of(sections()["Types"])}
TYPE = re.compile(rf"(?<![`\w])({'|'.join(sorted(TYPES, key=len, reverse=True))})s?(?![`\w])")


def in_full(words: str) -> str:
    """The words for a type without any that the table of types or another table explains."""
    if words.startswith("code of "):
        words = ", ".join(f"`{code}`" for code in fields_in(sections()[words.removeprefix("code of ")]))
    while (longer := TYPE.sub(lambda match: TYPES[match[1]], words)) != words:
        words = longer
    return ", ".join(sorted(words.split(", "))) if words.startswith("`") else words


def spelled(kind: msgspec.inspect.Type) -> str:
    """A type in the words of PROTOCOL.md, in full."""
    match kind:
        case msgspec.inspect.BoolType():
            return "boolean"
        case msgspec.inspect.NoneType():
            return "null"
        case msgspec.inspect.IntType(gt=None, lt=None, multiple_of=None):
            return f"integer{limits(kind.ge, kind.le)}"
        case msgspec.inspect.FloatType(gt=None, lt=None, multiple_of=None):
            return f"number{limits(kind.ge, kind.le)}"
        case msgspec.inspect.StrType(pattern=None):
            return f"text{limits(kind.min_length, kind.max_length)} characters"
        case msgspec.inspect.StrType(pattern=str(pattern), min_length=None, max_length=None):
            digits = re.fullmatch(r"\\A(\()?\[0-9a-f\]\{(\d+)\}(?(1)\)\?)\\Z", pattern)
            assert digits, pattern
            return f"{digits[2]} hex digits{' or empty' if digits[1] else ''}"
        case msgspec.inspect.LiteralType(values=values):
            return ", ".join(sorted(f"`{value}`" for value in values))
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            return f"list of {spelled(kind.item_type)}{limits(kind.min_length, kind.max_length)}"
        case msgspec.inspect.DictType():
            entries = limits(kind.min_length, kind.max_length)
            return f"mapping of {spelled(kind.key_type)} to {spelled(kind.value_type)}{entries}"
        case msgspec.inspect.UnionType(types=kinds):
            return " or ".join(map(spelled, kinds))
        case msgspec.inspect.StructType(cls=cls):
            return cls.__name__
    raise NotImplementedError(kind)


POWERS = {2**53: "2⁵³", 2**31 - 1: "2³¹−1", -(2**31): "−2³¹"}


def limits(least: float | None, most: float | None) -> str:
    """ ", 1–64", ", ≤ 64", ", ≥ 0" or nothing."""
    low, high = (
        None if one is None else POWERS.get(int(one)) or (f"{one:,}" if one > 9999 else f"{one}").translate(SIGNS)
        for one in (least, most)
    )
    if low is None:
        return "" if high is None else f", ≤ {high}"
    return f", ≥ {low}" if high is None else f", {low}–{high}"


SIGNS = str.maketrans(",-", " −")


def default_of(field: msgspec.inspect.Field) -> list[str]:
    """What a field is if it is left out, in the words of PROTOCOL.md; nothing if it may not be left out."""
    if field.required:
        return []
    made = field.default_factory is not msgspec.NODEFAULT
    match field.default_factory() if made else field.default:
        case "" | () | {}:
            return ["empty"]
        case str(text):
            return [f"`{text}`"]
        case msgspec.Struct() as struct:
            assert struct == type(struct)()
            return ["`{}`"]
        case value:
            return [msgspec.json.encode(value).decode().removesuffix(".0")]


@pytest.mark.parametrize("kind", KINDS)
def test_type_limits_and_default_of_every_field_agree(kind: type[msgspec.Struct]) -> None:
    told = {
        name: (in_full(words), re.findall(r"\bdefault (`[^`]+`|\w+(?:\.\d+)?)", meaning))
        for names, words, meaning in rows_of(sections()[kind.__name__])
        for name in names
    }
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    assert told == {field.name: (spelled(field.type), default_of(field)) for field in info.fields}


def test_every_type_of_the_table_has_fields() -> None:
    others = [words for kind in KINDS for _, words, _ in rows_of(sections()[kind.__name__])]
    assert set(TYPES) <= {match[1] for words in (*others, *TYPES.values()) for match in TYPE.finditer(words)}


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
    assert {kind.__name__ for kind in (*REQUESTS, *EVENTS) if kind not in told} == {
        *("Move", "Resume", "Free", "AskJobs", "Watch", "Forget", "AskEstimate"),
        *("Refused", "Notice", "Estimate", "Alive"),
        "Welcome",  # is there, shortened
    }


def _pad(length: int) -> Callable[[re.Match[str]], str]:
    def pad(match: re.Match[str]) -> str:
        return match[0].replace(f"{match[2]}…", f"{match[2]:0<{length}}")

    return pad
