"""Messages survive the wire; what is no message raises ProtocolError and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shared_protocol import wire
from shared_protocol.errors import ProtocolError, VersionMismatch
from shared_protocol.messages import (
    AskStatus,
    Cancel,
    Frame,
    Generate,
    Hello,
    Message,
    Progress,
    Styles,
    Thumbnail,
    Welcome,
)
from shared_protocol.wire import Buffer, Incoming
from tests.protocol.rudeness import spoiled
from tests.protocol.strategies import EVENTS, REQUESTS, of_any, one_of_each, with_buffers

Decode = Callable[[Sequence[Buffer]], Incoming]
SAMPLES, ROUNDS = 25, 4_000
"""Of the fuzzing, for each side: sets of messages of every kind, and spoiled messages made from each set."""
JOB = "0123456789abcdef" * 2
REQUEST = Generate(job=JOB, prompt="a pumpkin", style="plain", frames=16, width=64, height=64, seed=1)


@pytest.mark.slow
@given(of_any(REQUESTS))
@settings(max_examples=400, deadline=None)
def test_every_request_comes_back_as_it_was(message: Message) -> None:
    buffers = with_buffers(message)
    assert wire.decode_request(wire.encode(message, buffers)) == Incoming(message, tuple(buffers))


@pytest.mark.slow
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
    header = msgspec.json.encode({**msgspec.to_builtins(REQUEST), "frames": 5000, "request_id": "7"})
    with pytest.raises(ProtocolError, match="frames") as caught:
        wire.decode_request([wire.TAG, header])
    assert (caught.value.job, caught.value.request_id) == (JOB, "7")


@pytest.mark.parametrize("header", [b"", b"{}", b'{"type": "Generate", "job": 5}', b'{"type": "Cancel"}'])
def test_no_job_is_made_up(header: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        wire.decode_request([wire.TAG, header])
    assert (caught.value.job, caught.value.request_id) == (None, "")


def test_a_large_header_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ProtocolError, match="header"):
        wire.decode_request([wire.TAG, b" " * (wire.MAX_HEADER_BYTES + 1)])


def test_a_longest_header_is_read() -> None:
    header = msgspec.json.encode(AskStatus()).ljust(wire.MAX_HEADER_BYTES)
    assert wire.decode_request([wire.TAG, header]).message == AskStatus()


def test_a_header_that_is_too_large_is_not_sent() -> None:
    room = wire.MAX_HEADER_BYTES - len(msgspec.json.encode(Styles(styles=(), notes=("",))))
    assert len(wire.encode(Styles(styles=(), notes=("x" * room,)))[1]) == wire.MAX_HEADER_BYTES
    with pytest.raises(ValueError, match="Styles is too large to send"):
        wire.encode(Styles(styles=(), notes=("x" * (room + 1),)))


def test_one_frame_alone_is_no_message() -> None:
    for frames in ([], [wire.TAG]):
        with pytest.raises(ProtocolError, match="fewer than two frames"):
            wire.decode_request(frames)


def test_a_largest_buffer_is_sent_and_read() -> None:
    frames = wire.encode(Frame(job=JOB, index=0, frames=1), [bytes(wire.MAX_BUFFER_BYTES)])
    assert len(wire.decode_event(frames).buffers[0]) == wire.MAX_BUFFER_BYTES


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
    with pytest.raises(ProtocolError, match="takes 1"):
        wire.decode_event([*wire.encode(Thumbnail(sha256="0" * 64), [b"png"]), b"x"])
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


@pytest.mark.parametrize("text", ["A" * 100_000, "two\nlines", "\u2028\x1b[2J"])
def test_an_error_repeats_little_of_what_came(text: str) -> None:
    """It goes into the log and to the other side, whose sentences have a limit."""
    with pytest.raises(ProtocolError) as caught:
        wire.decode_request([wire.TAG, msgspec.json.encode({"type": text})])
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def outcome(decode: Decode, frames: list[bytes]) -> Incoming | ProtocolError:
    """What the decoder makes of it."""
    try:
        return decode(frames)
    except ProtocolError as error:
        return error
    except BaseException as error:
        raise AssertionError(f"{error!r} of {frames}") from error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decode", "kinds", "seed"), [(wire.decode_request, REQUESTS, 6), (wire.decode_event, EVENTS, 1)]
)
def test_a_hundred_thousand_spoiled_messages(decode: Decode, kinds: tuple[type[Message], ...], seed: int) -> None:
    """Each kind of message with bits changed, cut, doubled, frames swapped, numbers and nesting without end; and noise.

    What is understood all the same is a whole message: it can be sent on.
    """
    chance = random.Random(seed)
    understood = 0

    @given(one_of_each(kinds))
    @settings(max_examples=SAMPLES, deadline=None, derandomize=True, phases=[Phase.generate], database=None)
    def spoil_all(messages: list[Message]) -> None:
        nonlocal understood
        originals = [wire.encode(message, with_buffers(message)) for message in messages]
        for _ in range(ROUNDS):
            frames = spoiled(chance.choice(originals), chance)
            incoming = outcome(decode, frames)
            if isinstance(incoming, ProtocolError):
                assert len(str(incoming)) < 2000, frames
                continue
            understood += 1
            assert decode(wire.encode(incoming.message, incoming.buffers)) == incoming, frames

    spoil_all()
    assert 0 < understood < SAMPLES * ROUNDS / 2
