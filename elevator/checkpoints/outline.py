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
from itertools import islice
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
_NUMBERS = re.compile(r"numpy(?:\._?core)?(?:\.multiarray (?:scalar|_reconstruct)| dtype| ndarray|\.dtypes \w+DType)")
"""What trainers leave of NumPy beside the weights, such as the best loss. Nobody needs it here, so that something empty
may stand in for what makes it."""
_LEFT = re.compile(
    r"argparse Namespace|pathlib(?:\._local)? (?:Pure)?(?:Posix|Windows)?Path"
    r"|datetime (?:datetime|date|time|timedelta|timezone)"
)
"""What trainers leave of their settings: it is made by a call, but nobody needs it here either."""
_NEVER = ("builtins", "__builtin__", "nt", "os", "posix", "subprocess", "sys")
"""Modules whose functions no file of weights has a reason to name."""
_STORAGES = {
    "BFloat16": "bfloat16",
    "Bool": "bool",
    "Byte": "uint8",
    "Char": "int8",
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "Int": "int32",
    "Long": "int64",
    "Short": "int16",
}
"""torch's types of numbers by its names for storages."""
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
    """A tensor's shape, and where its values lie."""

    shape: tuple[int, ...]
    dtype: str = ""
    """As torch calls it; empty where the file does not say it in a way that is followed here."""
    record: str = ""
    """Its storage's file in the zip's folder `data`."""
    start: int = 0
    """In the storage, numbers."""


@dataclass(frozen=True)
class Outline:
    """What a PyTorch file holds."""

    content: Any
    """Dicts, texts, numbers, `Tensor`s."""
    named: frozenset[str]
    """Names such as `pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint` that the file names beside its
    weights without calling them: something empty may stand in for them."""


@dataclass(frozen=True, eq=False)
class _Name:
    """Something of a module."""

    full: str
    foreign: bool = False
    """Whether it is none that torch knows as harmless; then it must not be called."""


@dataclass(frozen=True)
class _Storage:
    """Where numbers lie."""

    dtype: str
    record: str


@dataclass(frozen=True, eq=False)
class _Other:
    """Anything else."""


_MARK = object()


def outline(path: Path) -> Outline:
    """The structure of a PyTorch file. Raises Unclear, Damaged, HoldsCode and OSError."""
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


def _followed(file: IO[bytes]) -> Outline:
    """What the pickle that begins here makes. Raises Unclear, HoldsCode and any of `_DAMAGE`."""
    machine = _Machine()
    for code, argument, _ in islice(pickletools.genops(file), MOST_STEPS):
        if code.name == "STOP":
            return Outline(machine.stack.pop(), frozenset(machine.named))
        machine.follow(code.name, argument)
    raise Unclear


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.named: set[str] = set()
        """What something empty must stand in for."""
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
                stack.append(self._name(*str(argument).split(" ", 1)))
            case "STACK_GLOBAL":
                module, what = stack[-2:]
                stack[-2:] = [self._name(str(module), str(what))]
            case "INST":
                raise HoldsCode(str(argument).replace(" ", "."))
            case "BINPERSID":
                stack[-1] = _storage(stack[-1])
            case "REDUCE" | "NEWOBJ":
                called, arguments = stack[-2:]
                stack[-2:] = [_result(called, arguments)]
            case "BUILD":
                stack.pop()
                _refuse_foreign(stack[-1])
            case _ if isinstance(argument, str | int | float | bytes):
                stack.append(argument)
            case _:
                raise Unclear

    def _name(self, module: str, name: str) -> _Name:
        """Something of a module. Raises HoldsCode for what no file of weights names, and Unclear for torch's own."""
        found = _named(module, name)
        if found.foreign or _NUMBERS.fullmatch(found.full) or _LEFT.fullmatch(found.full):
            self.named.add(found.full.replace(" ", "."))
        return found

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
    full = f"{module} {name}"
    if any(names.fullmatch(full) for names in (_HARMLESS, _NUMBERS, _LEFT)):
        return _Name(full)
    root = module.partition(".")[0]
    if root == "torch":
        raise Unclear  # torch knows which of its own are harmless
    if root in _NEVER:
        raise HoldsCode(f"{module}.{name}")
    return _Name(full, foreign=True)


def _refuse_foreign(value: Any) -> None:
    """Raise HoldsCode if this is, or a tuple holds, what must not be called."""
    for each in value if isinstance(value, tuple) else (value,):
        if isinstance(each, _Name) and each.foreign:
            raise HoldsCode(each.full.replace(" ", "."))


def _storage(place: Any) -> _Storage | _Other:
    """What a persistent id stands for: ("storage", its class, its key, its device, how many numbers it has)."""
    if isinstance(place, tuple) and len(place) > 2 and isinstance(place[1], _Name):
        name = place[1].full.rpartition(" ")[2].removesuffix("Storage")
        return _Storage(_STORAGES.get(name, ""), str(place[2]))
    return _Other()


def _result(called: Any, arguments: Any) -> Any:
    """What a call gives, as far as that matters here."""
    if not isinstance(called, _Name):
        raise Unclear
    _refuse_foreign(called)
    _refuse_foreign(arguments)
    if called.full in _TENSORS:
        storage, start, shape = arguments[:3]
        if not isinstance(shape, tuple) or not all(isinstance(side, int) for side in shape):
            raise Unclear
        if isinstance(storage, _Storage) and isinstance(start, int):
            return Tensor(shape, storage.dtype, storage.record, start)
        return Tensor(shape)
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
