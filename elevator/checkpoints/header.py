"""The names, shapes and metadata of a model file, without its weights.

A safetensors file starts with the length of its header (8 bytes, little-endian) and the header itself, a JSON object:
tensor name → `dtype`, `shape` and `data_offsets` (two byte positions after the header), and under
`__metadata__` text by name. Source: the format section of the safetensors documentation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from ..errors import ModelError
from .outline import ZIP, Damaged, HoldsCode, Tensor, Unclear, outline

T = TypeVar("T")
WRAPPERS = ("state_dict", "model_state_dict", "ema", "model", "module")
"""Names under which trainers put the weights beside other things; LaVie's are under `ema`."""
MAX_HEADER = 100_000_000
"""Bytes; the safetensors library reads no longer header either."""
Count = Annotated[int, msgspec.Meta(ge=0)]
AROUND = re.compile(r"(?:module\.|_orig_mod\.)+")
"""What PyTorch's parallel training and its compiler put before each name."""
PICKLE = b"\x80"
"""How PyTorch's files from before version 1.6 start; those of today start with `ZIP`."""


class NeedsTorch(ModelError):
    """What a file holds can be said by torch alone."""


class _Entry(msgspec.Struct, gc=False):
    shape: tuple[Count, ...]
    data_offsets: tuple[Count, Count]
    dtype: str = ""


class _Metadata(msgspec.Struct, rename={"metadata": "__metadata__"}):
    metadata: msgspec.Raw = msgspec.Raw()


_METADATA, _TEXTS = msgspec.json.Decoder(_Metadata), msgspec.json.Decoder(dict[str, str])
_ENTRIES = msgspec.json.Decoder(dict[str, _Entry])
_DTYPES = {
    "BF16": "bfloat16",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
"""Types by safetensors' names, as torch calls them; those of whole numbers stay as they are."""
_OTHERS = (
    (b"GGUF", "of GGUF, whose numbers are packed in another way; choose the same model as a .safetensors file"),
    (b"\x89HDF", "of TensorFlow or Keras; choose the same model as a .safetensors file"),
    (b"7z\xbc\xaf", "an archive; unpack it and choose the model file in it"),
    (b"Rar!", "an archive; unpack it and choose the model file in it"),
    (b"\x1f\x8b", "an archive; unpack it and choose the model file in it"),
    (b"\x89PNG", "a picture; choose a model file"),
    (b"\xff\xd8\xff", "a picture; choose a model file"),
)
"""How other files begin, and what they are."""
_ENDINGS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
_MOST_SAID = 60
_NO_ENTRY = b'{"shape": [], "data_offsets": [0, 0]}'


@dataclass(frozen=True)
class Header:
    """What a file says about its weights."""

    shapes: Mapping[str, tuple[int, ...]]
    """By tensor name, without what is `AROUND` it."""
    metadata: Mapping[str, str]
    size: int
    """Of the whole file, in bytes."""
    pickled: bool
    """Whether it is a PyTorch file."""
    stored: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    """Types of the tensors by name, and where their values lie: in a safetensors file, `start` is a position in it."""
    step: int | None = None
    """Of the training run, where a PyTorch file says it."""


def read_header(path: Path, *, torch: bool = True) -> Header:
    """Read a safetensors file's header alone, or the structure of a PyTorch file.

    torch: whether it may be imported, which is slow, for the few PyTorch files that nothing else understands; else
    those raise `NeedsTorch`. Raises ModelError if the file is missing, broken or no model, or
    if it is a pickle that holds code.
    """
    if not path.is_file():
        raise ModelError(f"There is no file at {path}; choose a model file.")
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(9)
            length = int.from_bytes(start[:8], "little")
            if start[8:] == b"{" and length <= min(size - 8, MAX_HEADER):
                return _parsed(path, b"{" + file.read(length - 1), size)
            start += file.read(500)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); check that you may open it.") from error
    if start.startswith((ZIP, PICKLE)) and start[8:9] != b"{":
        return _of_pickle(path, size, torch)
    raise ModelError(_no_model(path, start))


def _parsed(path: Path, text: bytes, size: int) -> Header:
    try:
        raw = bytes(_METADATA.decode(text).metadata)
        metadata = _TEXTS.decode(raw) if raw else {}
        # With an entry in the metadata's place, all values are of one type, which the decoder then checks.
        entries = _ENTRIES.decode(text.replace(raw, _NO_ENTRY, 1) if raw else text)
        entries.pop("__metadata__", None)
        missing = max([entry.data_offsets[1] for entry in entries.values()], default=0) - (size - 8 - len(text))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is not a readable safetensors file: its header is damaged; download or copy it again."
        ) from error
    if missing > 0:
        raise ModelError(_cut_short(path))
    if not entries:
        raise ModelError(f"{path} holds no weights; choose a model file.")
    if missing < 0:  # which the safetensors library does not take either
        raise ModelError(
            f"{path} is not a readable safetensors file: it has {-missing} bytes more than its header says; "
            "download or copy it again."
        )
    begin = 8 + len(text)
    stored = {
        plain_name(name): Tensor(entry.shape, _DTYPES.get(entry.dtype, entry.dtype), "", begin + entry.data_offsets[0])
        for name, entry in entries.items()
    }
    shapes = {name: tensor.shape for name, tensor in stored.items()}
    return Header(shapes, metadata, size, pickled=False, stored=stored)


def plain_name(name: str) -> str:
    """A tensor's name without what is `AROUND` it."""
    found = AROUND.match(name)
    return name[found.end() :] if found else name


def _of_pickle(path: Path, size: int, torch: bool) -> Header:
    if path.suffix == ".safetensors":  # torch goes by the name, and would hand it to safetensors
        raise ModelError(f"{path} is a PyTorch file in spite of its name; rename it to end in .ckpt.")
    try:
        content: Any = outline(path).content
        stored = named(path, content, Tensor, dict)
        sizes = {name: tensor.shape for name, tensor in stored.items()}
    except HoldsCode as code:
        raise ModelError(
            f"{path} holds code ({code}) besides weights and is refused, because reading it could run that code; "
            "choose the same model as a .safetensors file."
        ) from code
    except Damaged as error:
        raise ModelError(f"{path} is not a readable PyTorch file; download or copy it again.") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); check that you may open it.") from error
    except Unclear as error:
        if not torch:
            raise NeedsTorch(f"What {path} holds is known once it is loaded; nothing needs to be done.") from error
        from .weights import load_pickle, named_tensors  # torch is slow to import, and most files need none of it

        content, stored = load_pickle(path, "meta"), {}
        sizes = {name: tuple(tensor.shape) for name, tensor in named_tensors(path, content).items()}
    texts = dict(content).items() if isinstance(content, dict) else ()
    metadata = {str(key): text for key, text in texts if isinstance(text, str)}
    step = content.get("global_step") if isinstance(content, dict) else None
    return Header(sizes, metadata, size, pickled=True, stored=stored, step=step if isinstance(step, int) else None)


def named(path: Path, content: Any, tensor: type[T], nested: type | tuple[type, ...]) -> dict[str, T]:
    """The tensors of a PyTorch file's content by name, without what trainers wrap around them.

    Tensors one level further down, in mappings of the types `nested`, have both names joined by a dot: so those of
    textual inversion are. Raises ModelError if there are none.
    """
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict) and content[wrapper]:
            content = content[wrapper]
    tensors: dict[str, T] = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        several: Any = value if isinstance(value, nested) else None
        inner = {name: value} if several is None else {f"{name}.{key}": item for key, item in several.items()}
        tensors |= {plain_name(str(key)): item for key, item in inner.items() if isinstance(item, tensor)}
    if not tensors:
        raise ModelError(f"{path} holds no weights by name; choose a model file.")
    return tensors


def _no_model(path: Path, start: bytes) -> str:
    """Why a file that starts like this is refused."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return f"{path} is empty; download or copy it again."
    if text.startswith(b"version https://git-lfs"):
        return (
            f"{path} is a Git LFS pointer instead of the model; run git lfs pull in its folder or download the model."
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return f"{path} is a web page instead of the model; download the model file itself."
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= MAX_HEADER:
        return _cut_short(path)
    if path.name.endswith(".index.json"):
        return f"{path} is a list of a model's parts; choose the folder in which it lies."
    for mark, what in _OTHERS:
        if start.startswith(mark):
            return f"{path} is {what}."
    if len(start) < 9 and path.suffix.lower() == ".safetensors":
        return _cut_short(path)
    if (said := _as_text(start)) and path.suffix.lower() in _ENDINGS:
        return f"{path} is a text instead of the model (“{said}”); download the model file itself."
    return f"{path} is not a model file; choose a .safetensors, .ckpt, .pt, .pth or .bin file."


def _as_text(start: bytes) -> str:
    """The first words of what is a text, as servers send one instead of a file; else nothing."""
    try:
        text = start.decode("utf-8", "strict" if len(start) < 500 else "ignore").strip()
    except UnicodeDecodeError:
        return ""
    line = " ".join(text.split())
    return (line if len(line) <= _MOST_SAID else f"{line[: _MOST_SAID - 1]}…") if line.isprintable() else ""


def _cut_short(path: Path) -> str:
    return f"{path} is not a readable safetensors file: its end is missing; download or copy it again."
