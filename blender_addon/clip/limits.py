"""What a request can hold at all, as the protocol's types say. A style may allow less; the backend knows that. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from shared_protocol.messages import Generate


class Limits(NamedTuple):
    """The least and the most that a field holds."""

    least: int
    most: int


def _limits(name: str) -> Limits:
    """Of a field of `Generate`: of its value if it is a number, of its length if it is a text or a list."""
    told = msgspec.inspect.type_info(Generate)
    assert isinstance(told, msgspec.inspect.StructType)
    kind = next(field.type for field in told.fields if field.name == name)
    if isinstance(kind, msgspec.inspect.StrType | msgspec.inspect.VarTupleType):
        least, most = kind.min_length or 0, kind.max_length
    else:
        assert isinstance(kind, msgspec.inspect.IntType)
        least, most = kind.ge or 0, kind.le
    assert most is not None
    return Limits(least, most)


PROMPT = _limits("prompt")
"""Characters."""
LORAS = _limits("loras").most
"""On top of the style's, or in place of its own."""
FRAMES = _limits("frames")
PIXELS = _limits("width")
"""Of width and of height."""
SEED = _limits("seed")
FLOW_RATE = _limits("flow_fps_numerator")
"""Of numerator and denominator."""
