"""Messages to ZeroMQ frames and back. No I/O, no state.

    [b"elevator/1", JSON header, buffer …]

The first frame names the major version, the header is one message of `messages`, and buffers are opaque bytes.
Sizes are checked before anything is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

import msgspec

from .errors import ProtocolError, VersionMismatch
from .messages import MAJOR, Chunk, Event, Frame, JobId, Label, Message, Progress, Request, Thumbnail
from .texts import cut

TAG = b"elevator/%d" % MAJOR
MAX_HEADER_BYTES = 1 << 20
MAX_BUFFER_BYTES = 64 << 20
ENCRYPTION_BYTES = 64
"""More than CURVE adds to a frame. ZeroMQ's own limit counts frames as they come over the line, encrypted."""
CHUNK_BYTES = 512 << 10
"""How much of an uploaded file goes into one message: requests must stay below the backend's limit of a message."""
MAX_WORDS = 300
"""Characters of what could not be read that an error repeats at most."""

Buffer = bytes | bytearray | memoryview
M = TypeVar("M", bound=Message)
_ANY_TAG = re.compile(rb"elevator/(\d{1,4})\Z")


class Incoming(NamedTuple):
    """A decoded message and the buffers that came with it."""

    message: Message
    buffers: tuple[Buffer, ...]


_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def buffers_of(message: Message) -> int:
    """How many buffers belong to this message."""
    if isinstance(message, Frame | Chunk | Thumbnail):
        return 1
    if isinstance(message, Progress):
        return int(message.preview_frames > 0)
    return 0


def encode(message: Message, buffers: Sequence[Buffer] = ()) -> list[Buffer]:
    """The frames of one message.

    Raises ValueError if the buffers do not belong to the message or something is too large: that is a mistake of
    the caller, not of the other side.
    """
    if len(buffers) != buffers_of(message):
        raise ValueError(f"{type(message).__name__} takes {buffers_of(message)} buffers, not {len(buffers)}")
    header = _encoder.encode(message)
    if len(header) > MAX_HEADER_BYTES or any(len(b) > MAX_BUFFER_BYTES for b in buffers):
        raise ValueError(f"{type(message).__name__} is too large to send")
    return [TAG, header, *buffers]


def decode_request(frames: Sequence[Buffer]) -> Incoming:
    """What a client sent. Raises ProtocolError or VersionMismatch, and nothing else, whatever the bytes are."""
    return decode(frames, _requests, sender="client")


def decode_event(frames: Sequence[Buffer]) -> Incoming:
    """What the backend sent. Raises ProtocolError or VersionMismatch, and nothing else, whatever the bytes are."""
    return decode(frames, _events, sender="backend")


def decode(
    frames: Sequence[Buffer], decoder: msgspec.json.Decoder[M], *, sender: Literal["client", "backend"] = "backend"
) -> Incoming:
    """Any message that `decoder` knows. Raises ProtocolError or VersionMismatch, and nothing else."""
    if len(frames) < 2:
        raise ProtocolError("The message has fewer than two frames: something else talks to this port.")
    _check_tag(bytes(frames[0][:64]), sender)
    header, buffers = frames[1], tuple(frames[2:])
    if len(header) > MAX_HEADER_BYTES:
        raise ProtocolError(f"The header has {len(header)} bytes; at most {MAX_HEADER_BYTES} are allowed.")
    for buffer in buffers:
        if len(buffer) > MAX_BUFFER_BYTES:
            raise ProtocolError(f"A buffer has {len(buffer)} bytes; at most {MAX_BUFFER_BYTES} are allowed.")
    try:
        message = decoder.decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = f"The message cannot be read: {_shown(error)}."
        raise ProtocolError(what, job=_job_of(header), request_id=_request_id_of(header)) from error
    if len(buffers) != buffers_of(message):
        raise ProtocolError(f"{type(message).__name__} takes {buffers_of(message)} buffers, but {len(buffers)} came.")
    return Incoming(message, buffers)


def _shown(error: Exception) -> str:
    """The decoder's words, which may repeat what came: no more of that than a log and a panel can take."""
    words = cut(str(error), MAX_WORDS)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)


class _Order(msgspec.Struct):
    """The least that can be known of an order whose other fields are wrong."""

    type: Literal["Generate", "Conform"]
    job: JobId


class _Named(msgspec.Struct):
    """The name of a request of which nothing else can be read."""

    request_id: Label = ""


_orders = msgspec.json.Decoder(_Order)
_names = msgspec.json.Decoder(_Named)


def _job_of(header: Buffer) -> str | None:
    """The job that an unreadable order is about, so that this job can fail instead of the whole conversation."""
    try:
        return _orders.decode(header).job
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _request_id_of(header: Buffer) -> str:
    """The name of an unreadable request, so that its sender knows which one it was."""
    try:
        return _names.decode(header).request_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _check_tag(tag: bytes, sender: str) -> None:
    if tag == TAG:
        return
    match = _ANY_TAG.match(tag)
    if match is None:
        raise ProtocolError("The message does not start with the protocol's name: something else talks to this port.")
    receiver = "backend" if sender == "client" else "client"
    raise VersionMismatch(theirs=int(match[1]), ours=MAJOR, them=sender, us=receiver)
