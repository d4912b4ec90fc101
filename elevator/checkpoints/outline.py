"""The structure of a PyTorch file, followed instruction by instruction: nothing is called, nothing imported, no torch.

A PyTorch file is a pickle, a program for a small machine with a stack, which describes tensors by calls such as
`torch._utils._rebuild_tensor_v2(storage, offset, shape, …)`. Here the calls are noted instead of made. Files of torch
1.6 and later are zips with the pickle as `data.pkl`; older ones are four pickles after each other. Source: the
documentation of Python's pickletools, and `torch/serialization.py`.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ZIP = b"PK\x03\x04"
MOST_BYTES = 64 << 20
"""Of a pickle without its tensors' values, which are beside it: far more than the largest model's."""
MOST_STEPS = 20_000_000
BEFORE = 3
"""How many pickles the old format has before that of the content: a number, a version, what the machine was like."""
_HARMLESS = re.compile(
    r"torch (?:\w+Storage|Size|Tensor|device|dtype|u?int\d+|b?float\d*\w*|half|double|long|short|bool|complex\d+)"
    r"|torch\._(?:utils|tensor) _rebuild_\w+|torch\.storage \w+Storage|torch\.nn\.parameter Parameter"
    r"|torch\.nn\.modules\.container ParameterDict|torch\.serialization _get_layout"
    r"|collections (?:OrderedDict|Counter)|_codecs encode|copyreg _reconstructor"
    r"|(?:builtins|__builtin__) (?:bytearray|complex|object|set)"
)
"""Names that torch reads without running any code."""
_TENSORS = tuple(f"torch._utils _rebuild_{kind}" for kind in ("tensor_v2", "tensor", "meta_tensor_no_storage"))
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, EOFError, OverflowError, RecursionError)


class Unclear(Exception):
    """The file is read by torch alone: it holds something that is not followed here, or is damaged."""


class Damaged(Exception):
    """A part of the file is missing."""


class HoldsCode(Exception):
    """Reading the file would run code; the message names it."""


@dataclass(frozen=True)
class Tensor:
    """A tensor's shape."""

    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Name:
    """Something of a module."""

    full: str


@dataclass(frozen=True, eq=False)
class _Other:
    """Anything else."""


_MARK = object()


def outline(path: Path) -> Any:
    """What a PyTorch file holds: dicts, texts, numbers, `Tensor`s. Raises Unclear, Damaged, HoldsCode and OSError."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next(name for name in archive.namelist() if name.split("/")[-1] == "data.pkl")
                if archive.getinfo(name).file_size > MOST_BYTES:
                    raise Unclear
                return _followed(io.BytesIO(archive.read(name)))
        with path.open("rb") as file:
            if file.read(len(ZIP)) == ZIP:  # whose list of contents is its end
                raise Damaged
            file.seek(0)
            for _ in range(BEFORE):
                _followed(file)
            return _followed(file)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, StopIteration, *_DAMAGE) as error:
        raise Unclear from error


def _followed(file: IO[bytes]) -> Any:
    """The value of the pickle that begins here. Raises Unclear, HoldsCode and any of `_DAMAGE`."""
    machine = _Machine()
    for count, (code, argument, _) in enumerate(pickletools.genops(file)):
        if count > MOST_STEPS:
            raise Unclear
        if code.name == "STOP":
            return machine.stack.pop()
        machine.follow(code.name, argument)
    raise Unclear


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def follow(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        stack = self.stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_MARK)
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE" | "LIST":
                items = self._to_mark()
                stack.append(tuple(items) if name == "TUPLE" else items)
            case "DICT":
                stack.append(_mapping(self._to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self._memo[int(argument)] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(self._memo[int(argument)])
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._to_mark()
            case "DUP":
                stack.append(stack[-1])
            case "APPEND" | "APPENDS" | "ADDITEMS" | "SETITEM" | "SETITEMS":
                self._fill(name)
            case "GLOBAL":
                stack.append(_named(*str(argument).split(" ", 1)))
            case "STACK_GLOBAL":
                module, what = stack[-2:]
                stack[-2:] = [_named(str(module), str(what))]
            case "BINPERSID":
                stack[-1] = _Other()
            case "REDUCE" | "NEWOBJ":
                called, arguments = stack[-2:]
                stack[-2:] = [_result(called, arguments)]
            case "BUILD":
                stack.pop()
            case _ if isinstance(argument, str | int | float | bytes):
                stack.append(argument)
            case _:
                raise Unclear

    def _to_mark(self) -> list[Any]:
        """Everything above the last mark, which goes too."""
        at = len(self.stack) - 1 - self.stack[::-1].index(_MARK)
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _fill(self, name: str) -> None:
        """Put values into what lies below them."""
        several = name in ("APPENDS", "ADDITEMS", "SETITEMS")
        items = self._to_mark() if several else [self.stack.pop() for _ in range(2 if name == "SETITEM" else 1)][::-1]
        below = self.stack[-1]
        if isinstance(below, dict):
            below.update(_mapping(items))
        elif isinstance(below, list):
            below.extend(items)
        elif not isinstance(below, _Other):
            raise Unclear


def _named(module: str, name: str) -> _Name:
    if not _HARMLESS.fullmatch(f"{module} {name}"):
        if module.partition(".")[0] == "torch":
            raise Unclear  # torch knows which of its own are harmless
        raise HoldsCode(f"{module}.{name}")
    return _Name(f"{module} {name}")


def _result(called: Any, arguments: Any) -> Any:
    """What a call gives, as far as that matters here."""
    if not isinstance(called, _Name):
        raise Unclear
    if called.full in _TENSORS:
        shape = arguments[2]
        if isinstance(shape, tuple) and all(isinstance(side, int) for side in shape):
            return Tensor(shape)
        raise Unclear
    match called.full:
        case "torch._utils _rebuild_parameter" | "torch._utils _rebuild_parameter_with_state":
            return arguments[0]
        case "torch._tensor _rebuild_from_type_v2":
            return _result(arguments[0], arguments[2])
        case "collections OrderedDict":
            return dict(arguments[0]) if arguments else {}
        case "torch Size":
            return tuple(arguments[0])
        case "copyreg _reconstructor" | "torch.nn.modules.container ParameterDict":
            raise Unclear  # an object whose content comes by its state
    return _Other()


def _mapping(items: Iterable[Any]) -> dict[Any, Any]:
    """Keys and values in turn, as a dict."""
    return dict(_pairs(items))


def _pairs(items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    every = iter(items)
    return zip(every, every, strict=True)
