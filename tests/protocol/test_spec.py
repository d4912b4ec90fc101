"""PROTOCOL.md and the code say the same."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from backend.server import inbox, mail, outbox
from backend.server.requests import MOST_PIXELS
from backend.server.scheduler import MOST_JOBS
from backend.server.store import KEPT_ROWS
from shared_protocol import messages, window, wire
from shared_protocol.client import HEARTBEAT_TIMEOUT_MS, SILENCE_SECONDS, Client
from shared_protocol.connection import Connection
from shared_protocol.machine import files, places
from shared_protocol.messages import ANSWERS, Answering, Asking, Conform, Denied, Generate, Hello, Refused
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


def own_fields(kind: type[msgspec.Struct]) -> set[str]:
    """The fields of a message that its own table lists; that of all answers and requests stands under Answers."""
    return set(kind.__struct_fields__) - {"request_id"}


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
    assert fields_in(sections()[kind.__name__]) == own_fields(kind)


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
    assert f"| one frame of a clip | {MOST_PIXELS:,} pixels |".replace(",", " ") in TEXT
    assert f"| unfinished jobs | {MOST_JOBS:,} |".replace(",", " ") in TEXT
    assert f"| notes or warnings in one message | {messages.MOST_NOTES};" in TEXT
    assert f"{KEPT_ROWS:,} others".replace(",", " ") in TEXT
    assert f"of at most {files.MAX_BYTES >> 10} KiB" in TEXT


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
    own = own_fields(kind)
    assert told == {field.name: (spelled(field.type), default_of(field)) for field in info.fields if field.name in own}


def test_requests_and_answers_have_names_and_nothing_else_has() -> None:
    named = {kind for kind in KINDS if "request_id" in kind.__struct_fields__}
    assert named == {kind for kind in KINDS if issubclass(kind, Asking | Answering)}
    assert {kind.__name__ for kind in KINDS if kind in EVENTS and kind not in named} == {
        "Progress",
        "Notice",
        "Styles",
        "Alive",
    }
    text = sections()["Answers"]
    assert "(all but `Progress`, `Notice`, `Styles` and `Alive`)" in text
    ((names, words, meaning),) = rows_of(text)
    (field,) = (field for field in msgspec.inspect.type_info(Asking).fields)  # type: ignore[attr-defined]
    assert (names, in_full(words)) == (["request_id"], spelled(field.type))
    assert "default empty" in meaning


@pytest.mark.parametrize("kind", REQUESTS)
def test_answers_to_each_request_agree(kind: type[Asking]) -> None:
    """`Denied` may answer all that is no order, whether that is said or not; `Refused` anything."""
    (answer,) = re.findall(r"Answer: (.*?)\.(?:\s|$)", sections()[kind.__name__], flags=re.DOTALL)
    told = {getattr(messages, name) for name in re.findall(r"`(\w+)`", answer)}
    general = set() if kind in (Hello, Generate, Conform) else {Denied}
    assert told | general == ANSWERS[kind]
    assert set(ANSWERS) == set(REQUESTS)
    assert Refused in told or kind is not Hello


def options_of_the_text() -> dict[str, str]:
    """The names of socket options, with what the text says of their values."""
    rows = rows_of(sections()["The client's socket"])
    return {name: value for names, value, _ in rows for name in names}


def test_the_clients_socket_is_set_as_the_text_says() -> None:
    keys = [key.decode() for key in zmq.curve_keypair()]
    connection = Connection(
        endpoint="tcp://127.0.0.1:9",
        server_key=keys[0],
        client_public=keys[0],
        client_secret=keys[1],
        pid=0,
        session="",
        version="",
    )
    told = options_of_the_text()
    with Client(connection, name="test") as client:
        for name, value in told.items():
            if name.startswith("CURVE_"):  # ZeroMQ tells no keys before a connection stands; without them none does
                continue
            found = client._socket.getsockopt(getattr(zmq, name))
            digits = re.match(r"\d[\d ]*", value.replace("\N{NARROW NO-BREAK SPACE}", " "))
            if name == "IDENTITY":
                assert re.fullmatch(rb"[0-9a-f]{32}", found)  # type: ignore[arg-type]
            elif name == "IPV6":
                assert found == 0
            elif digits is not None:
                assert found == int(digits[0].replace(" ", "")), name
    set_here = set(re.findall(r"(?:setsockopt\(zmq\.|_socket\.)([A-Z0-9_]{4,})", CLIENT))
    assert set_here <= told.keys()


CLIENT = (Path(messages.__file__).parent / "client.py").read_text(encoding="utf-8")


def test_how_much_may_be_under_way_agrees() -> None:
    text = " ".join(sections()["The client's socket"].split())
    assert f"once {outbox.MOST_ANSWERS} messages wait" in text
    assert f"Once {outbox.FULL_BYTES >> 20} MiB wait, it gets no more live frames" in text
    assert f"Once {outbox.MOST_BYTES >> 20} MiB wait, it counts as gone" in text
    assert f"| {mail.MOST_PARTS}; who sends more" in TEXT
    taken = f"| requests under way | {inbox.MOST_REQUESTS:,} and {inbox.MOST_BYTES >> 20} MiB".replace(",", " ")
    assert taken in TEXT
    assert window.REQUESTS * 2 <= inbox.MOST_REQUESTS
    assert window.BYTES * 2 <= inbox.MOST_BYTES
    assert f"at most {window.REQUESTS} requests of {window.BYTES >> 20} MiB in all" in text


@pytest.mark.parametrize(
    ("system", "platform"),
    [("any", sys.platform), ("Linux", "linux"), ("macOS", "darwin"), ("Windows", "win32")],
)
def test_folders_of_every_system_agree(
    system: str, platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place with its variable, and without it."""
    (line,) = (line for line in sections()["The connection file"].splitlines() if line.startswith(f"| {system}"))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for told, folder in zip(line.strip("|").split("|")[1:], (places.state_folder, places.config_folder), strict=True):
        choices = re.findall(r"`([^`]+)`", told)
        for choice in choices:
            for name in ("ELEVATOR_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA", "APPDATA"):
                monkeypatch.delenv(name, raising=False)
            variable = re.match(r"[$%](\w+)%?", choice)
            if variable is not None:
                monkeypatch.setenv(variable[1], str(tmp_path / "moved"))
                choice = choice.replace(variable[0], str(tmp_path / "moved"))
            assert folder() == Path(choice.replace("~", str(tmp_path)))


def test_every_type_of_the_table_has_fields() -> None:
    others = [words for kind in KINDS for _, words, _ in rows_of(sections()[kind.__name__])]
    assert set(TYPES) <= {match[1] for words in (*others, *TYPES.values()) for match in TYPE.finditer(words)}


def test_the_transcript_is_made_of_real_messages() -> None:
    lines = re.findall(r"^    ([<>]) (\{.*\})(?: \+ (\d+) bytes)?$", sections()["A transcript"], flags=re.MULTILINE)
    whole = [line for line in lines if "…" not in re.sub(r"[0-9a-f]{6}…\"", "", line[1])]
    assert len(whole) >= 25
    told = set()
    numbers: list[int] = []
    for direction, shortened, size in whole:
        padded = re.sub(r'"(job|source|client_id|session)":"([0-9a-f]{6})…"', _pad(32), shortened)
        padded = re.sub(r'"(sha256|anchor|footage)":(?:\[)?"([0-9a-f]{6})…"', _pad(64), padded)
        decode = wire.decode_request if direction == ">" else wire.decode_event
        message = decode([wire.TAG, padded.encode(), *([b"x"] if size else [])]).message
        told.add(type(message))
        fields = msgspec.json.decode(padded)
        assert set(fields) - {"type"} == set(message.__struct_fields__), "it was made by an older version"
        numbers += [int(fields["request_id"])] if direction == ">" else []
    assert numbers == sorted(set(numbers)), "each request has a name of its own"
    assert {kind.__name__ for kind in (*REQUESTS, *EVENTS) if kind not in told} == {
        *("Move", "Resume", "Free", "AskJobs", "Watch", "Forget", "AskEstimate"),
        *("Refused", "Notice", "Styles", "Estimate", "Alive"),
        "Welcome",  # is there, shortened
    }


def _pad(length: int) -> Callable[[re.Match[str]], str]:
    def pad(match: re.Match[str]) -> str:
        return match[0].replace(f"{match[2]}…", f"{match[2]:0<{length}}")

    return pad
