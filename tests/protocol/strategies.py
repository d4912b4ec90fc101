"""Random messages, made from the types themselves: a new message or field is tried without a word here."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from hypothesis import strategies as st

from shared_protocol import messages
from shared_protocol.messages import Message
from shared_protocol.wire import Buffer, buffers_of

REQUESTS: tuple[type[Message], ...] = get_args(messages.Request)
EVENTS: tuple[type[Message], ...] = get_args(messages.Event)
SAFE_TEXT = st.characters(exclude_categories=["Cs"])  # JSON cannot carry half a surrogate pair


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of one msgspec type, within its limits."""
    match kind:
        case msgspec.inspect.StrType(pattern=None):
            return st.text(SAFE_TEXT, min_size=kind.min_length or 0, max_size=min(kind.max_length or 50, 50))
        case msgspec.inspect.StrType(pattern=str(pattern)):
            return st.from_regex(pattern)
        case msgspec.inspect.IntType():
            return st.integers(kind.ge, kind.le)
        case msgspec.inspect.FloatType():
            low = kind.ge if kind.ge is not None else kind.gt
            high = kind.le if kind.le is not None else 1e9
            return st.floats(low, high, exclude_min=kind.gt is not None, allow_nan=False, allow_infinity=False)
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.LiteralType():
            return st.sampled_from(kind.values)
        case msgspec.inspect.VarTupleType():
            return st.lists(values(kind.item_type), max_size=4).map(tuple)
        case msgspec.inspect.ListType():
            return st.lists(values(kind.item_type), max_size=4)
        case msgspec.inspect.DictType():
            return st.dictionaries(values(kind.key_type), values(kind.value_type), max_size=4)
        case msgspec.inspect.UnionType():
            return st.one_of([values(one) for one in kind.types])
        case msgspec.inspect.StructType():
            return structs(kind.cls)
    raise NotImplementedError(kind)


def structs(cls: type) -> st.SearchStrategy[Any]:
    """Instances of one Struct."""
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, msgspec.inspect.StructType)
    return st.builds(cls, **{field.name: values(field.type) for field in info.fields})


def of_any(kinds: tuple[type[Message], ...]) -> st.SearchStrategy[Message]:
    """Messages of these kinds."""
    return st.one_of([structs(kind) for kind in kinds])


def with_buffers(message: Message) -> list[Buffer]:
    """As many buffers as the message takes."""
    return [b"\x89PNG" + bytes([number]) for number in range(buffers_of(message))]


def one_of_each(kinds: tuple[type[Message], ...]) -> st.SearchStrategy[list[Message]]:
    """A message of every kind."""
    return st.tuples(*[structs(kind) for kind in kinds]).map(list)
