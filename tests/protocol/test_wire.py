"""Messages survive the wire; what is no message raises ProtocolError and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_protocol import wire
from shared_protocol.errors import ProtocolError, VersionMismatch
from shared_protocol.messages import Cancel, Frame, Generate, Hello, Message, Progress, Welcome
from shared_protocol.wire import Buffer, Incoming
from tests.protocol.strategies import EVENTS, REQUESTS, of_any, with_buffers

Decode = Callable[[Sequence[Buffer]], Incoming]
JOB = "0123456789abcdef" * 2
REQUEST = Generate(job=JOB, prompt="a pumpkin", style="plain", frames=16, width=64, height=64, seed=1)


@given(of_any(REQUESTS))
@settings(max_examples=400, deadline=None)
def test_every_request_comes_back_as_it_was(message: Message) -> None:
    assert wire.decode_request(wire.encode(message)) == Incoming(message, ())


@given(of_any(EVENTS))
@settings(max_examples=800, deadline=None)
def test_every_event_comes_back_as_it_was(message: Message) -> None:
    buffers = with_buffers(message)
    assert wire.decode_event(wire.encode(message, buffers)) == Incoming(message, tuple(buffers))


def test_each_kind_of_message_is_named_after_its_class() -> None:
    for kind in (*REQUESTS, *EVENTS):
        assert kind.__struct_config__.tag == kind.__name__


def test_unknown_fields_are_ignored() -> None:
    header = msgspec.json.encode({"type": "Cancel", "job": JOB, "reason": "a later minor version says why"})
    assert wire.decode_request([wire.TAG, header]).message == Cancel(job=JOB)


@pytest.mark.parametrize(
    "field",
    [
        {"job": "A" * 32},
        {"job": "0" * 31},
        {"job": "../" + "0" * 29},
        {"job": JOB + "\n"},
        {"prompt": "x" * 2001},
        {"style": ""},
        {"style": "x" * 65},
        {"frames": 0},
        {"frames": 1025},
        {"frames": 1.5},
        {"width": 7},
        {"height": 8193},
        {"seed": -1},
        {"seed": 2**31},
        {"seed": "1"},
        {"previews": 1},
    ],
)
def test_limits_stand_in_the_types(field: dict[str, object]) -> None:
    header = msgspec.json.encode({**msgspec.to_builtins(REQUEST), **field})
    with pytest.raises(ProtocolError):
        wire.decode_request([wire.TAG, header])


def test_an_unreadable_request_tells_which_job_it_was() -> None:
    header = msgspec.json.encode({**msgspec.to_builtins(REQUEST), "frames": 5000})
    with pytest.raises(ProtocolError, match="frames") as caught:
        wire.decode_request([wire.TAG, header])
    assert caught.value.job == JOB


@pytest.mark.parametrize("header", [b"", b"{}", b'{"type": "Generate", "job": 5}', b'{"type": "Cancel"}'])
def test_no_job_is_made_up(header: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        wire.decode_request([wire.TAG, header])
    assert caught.value.job is None


def test_a_large_header_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ProtocolError, match="header"):
        wire.decode_request([wire.TAG, b" " * (wire.MAX_HEADER_BYTES + 1)])


def test_a_large_buffer_is_refused() -> None:
    frame = Frame(job=JOB, index=0, frames=1)
    large = bytearray(wire.MAX_BUFFER_BYTES + 1)
    with pytest.raises(ProtocolError, match="buffer"):
        wire.decode_event([*wire.encode(frame, [b""])[:2], large])
    with pytest.raises(ValueError, match="too large"):
        wire.encode(frame, [large])


def test_buffers_must_belong_to_the_message() -> None:
    with pytest.raises(ValueError, match="takes 1"):
        wire.encode(Frame(job=JOB, index=0, frames=1))
    with pytest.raises(ValueError, match="takes 0"):
        wire.encode(REQUEST, [b"x"])
    with pytest.raises(ProtocolError, match="takes 0"):
        wire.decode_request([*wire.encode(REQUEST), b"x"])
    shown = Progress(job=JOB, phase="painting", step=1, steps=2, preview_frames=16)
    with pytest.raises(ProtocolError, match="takes 1"):
        wire.decode_event(wire.encode(shown, [b"png"])[:2])


def test_another_major_version_is_named() -> None:
    with pytest.raises(
        VersionMismatch, match=r"client speaks protocol version 2 and the backend 1: update the backend"
    ):
        wire.decode_request([b"elevator/2", *wire.encode(Hello(client="later"))[1:]])


def test_the_sentence_says_which_side_to_update() -> None:
    with pytest.raises(VersionMismatch, match="update the client"):
        wire.decode_request([b"elevator/0", *wire.encode(Hello(client="earlier"))[1:]])
    with pytest.raises(VersionMismatch, match="backend speaks protocol version 2 and the client 1: update the client"):
        wire.decode_event([b"elevator/2", b"{}"])


@pytest.mark.parametrize("tag", [b"", b"HTTP/1.1 200", b"elevator/", b"elevator/x", b"elevator/1 ", b"elevator/99999"])
def test_other_protocols_are_not_taken_for_another_version(tag: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        wire.decode_request([tag, b"{}"])
    assert not isinstance(caught.value, VersionMismatch)


def test_a_request_is_no_event() -> None:
    with pytest.raises(ProtocolError):
        wire.decode_event(wire.encode(REQUEST))
    with pytest.raises(ProtocolError):
        wire.decode_request(wire.encode(Welcome(major=1, minor=0, backend="0", session="0", device="cpu", styles=())))


@pytest.mark.parametrize("decode", [wire.decode_request, wire.decode_event])
@given(frames=st.lists(st.binary(max_size=200), max_size=5))
@settings(max_examples=500, deadline=None)
def test_random_frames_raise_only_protocol_errors(decode: Decode, frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        decode(frames)


def test_deeply_nested_headers_raise_only_protocol_errors() -> None:
    with pytest.raises(ProtocolError):
        wire.decode_request([wire.TAG, b'{"type":"Cancel","x":' + b"[" * 200_000])


@pytest.mark.parametrize("decode", [wire.decode_request, wire.decode_event])
def test_ten_thousand_mutations_raise_only_protocol_errors(decode: Decode) -> None:
    """Real messages with bytes changed, cut, doubled, frames swapped or dropped."""
    chance = random.Random(0)
    originals = [wire.encode(REQUEST), wire.encode(Cancel(job=JOB)), wire.encode(Hello(client="Blender 5.0.1"))]
    originals.append(wire.encode(Frame(job=JOB, index=3, frames=16), [b"\x89PNG"]))
    originals.append(wire.encode(Progress(job=JOB, phase="text", step=1, steps=9, seconds_left=0.5)))
    understood = 0
    for _ in range(10_000):
        frames = [bytearray(frame) for frame in chance.choice(originals)]
        for _ in range(chance.randint(1, 4)):
            mutate(frames, chance)
        try:
            incoming = decode(frames)
        except ProtocolError:
            continue
        understood += 1
        assert isinstance(incoming.message, Message)
    assert 0 < understood < 5_000


def mutate(frames: list[bytearray], chance: random.Random) -> None:
    """Spoil a message a little."""
    if not frames:
        return
    frame = chance.choice(frames)
    place = chance.randrange(len(frame) + 1)
    match chance.randrange(7):
        case 0 if frame:
            frame[place % len(frame)] ^= 1 << chance.randrange(8)
        case 1:
            frame[place:place] = chance.randbytes(chance.randint(1, 9))
        case 2:
            del frame[place : place + chance.randint(1, 9)]
        case 3:
            frame.extend(frame)
        case 4:
            frames.remove(frame)
        case 5:
            frames.append(bytearray(chance.randbytes(5)))
        case _:
            chance.shuffle(frames)
