"""Spoiled messages, for the decoder and for a live server. All of it follows from the `random.Random` that is given."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from shared_protocol import wire
from shared_protocol.wire import Buffer

Spoil = Callable[[list[bytearray], random.Random], None]
NUMBERS = (
    b"-1",
    b"0",
    b"1e999",
    b"-1e-999",
    b"1.5",
    b"9" * 19,
    b"-" + b"9" * 400,
    b"7" * 5000,
    b"NaN",
    b"1" + b"0" * 25,
)
VALUES = (b"null", b"true", b'"x"', b"[]", b"{}", b'"\xff\xfe"', b'"\\ud800"', b'"\\u0000"', b'""', b'"\xed\xa0\x80"')
NESTS = (b"[" * 3000, b'{"a":' * 3000, b"[" * 200 + b"]" * 200, b'{"a":' * 50 + b"1" + b"}" * 50)
TAGS = (b"", b"elevator/0", b"elevator/2", b"elevator/99999", b"elevator/1\n", b"HTTP/1.1", b"elevator/\xd9\xa1")
WORDS = (b"{", b"}", b"[", b"]", b":", b",", b'"type"', b'"job"', b'"Generate"', b'"Cancel"', b'"Frame"', b"1", b"null")
_NUMBER = re.compile(rb"(?<=:)-?[0-9][0-9.e+-]*")
_VALUE = re.compile(rb'(?<=:)(?:"[^"]*"|[0-9a-z.-]+|\[\]|\{\})')


def spoiled(message: Sequence[Buffer], chance: random.Random) -> list[bytes]:
    """A message of its own, or this one with one to four faults."""
    if chance.random() < 0.05:
        return noise(chance)
    frames = [bytearray(frame) for frame in message]
    for _ in range(chance.randint(1, 4)):
        if frames:
            chance.choice(FAULTS)(frames, chance)
    return [bytes(frame) for frame in frames]


def noise(chance: random.Random) -> list[bytes]:
    """Frames that were never a message: bytes, or words of JSON in any order."""
    tag = wire.TAG if chance.random() < 0.8 else chance.choice(TAGS)
    if chance.random() < 0.5:
        header = chance.randbytes(chance.randint(0, 60))
    else:
        header = b"".join(chance.choices(WORDS, k=chance.randint(0, 30)))
    return [tag, header, *(chance.randbytes(4) for _ in range(chance.choice((0, 0, 0, 1, 2))))]


def _flip(frames: list[bytearray], chance: random.Random) -> None:
    frame = chance.choice(frames)
    if frame:
        frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)


def _cut(frames: list[bytearray], chance: random.Random) -> None:
    frame = chance.choice(frames)
    del frame[chance.randrange(len(frame) + 1) :]


def _drop_bytes(frames: list[bytearray], chance: random.Random) -> None:
    frame = chance.choice(frames)
    place = chance.randrange(len(frame) + 1)
    del frame[place : place + chance.randint(1, 9)]


def _add_bytes(frames: list[bytearray], chance: random.Random) -> None:
    frame = chance.choice(frames)
    place = chance.randrange(len(frame) + 1)
    frame[place:place] = chance.randbytes(chance.randint(1, 9))


def _double(frames: list[bytearray], chance: random.Random) -> None:
    frame = chance.choice(frames)
    if len(frame) < 5000:
        frame.extend(frame)


def _drop_frame(frames: list[bytearray], chance: random.Random) -> None:
    del frames[chance.randrange(len(frames))]


def _add_frame(frames: list[bytearray], chance: random.Random) -> None:
    frames.insert(chance.randrange(len(frames) + 1), bytearray(chance.randbytes(chance.randrange(20))))


def _shuffle(frames: list[bytearray], chance: random.Random) -> None:
    chance.shuffle(frames)


def _retag(frames: list[bytearray], chance: random.Random) -> None:
    frames[0][:] = chance.choice(TAGS)


def _put(pattern: re.Pattern[bytes], choices: tuple[bytes, ...]) -> Spoil:
    """Put one of `choices` where the pattern fits in some frame."""

    def spoil(frames: list[bytearray], chance: random.Random) -> None:
        frame = chance.choice(frames)
        if places := list(pattern.finditer(bytes(frame))):
            place = chance.choice(places)
            frame[place.start() : place.end()] = chance.choice(choices)

    return spoil


FAULTS: tuple[Spoil, ...] = (
    *(_flip, _cut, _drop_bytes, _add_bytes, _double, _drop_frame, _add_frame, _shuffle, _retag),
    _put(_NUMBER, NUMBERS),
    _put(_NUMBER, NUMBERS),
    _put(_VALUE, VALUES),
    _put(_VALUE, VALUES),
    _put(_VALUE, NESTS),
)
