"""All tensors of a model file: safetensors, or PyTorch's pickles read in a way that runs no code.

While a mode is set in `SHAPES_ONLY`, tensors have shapes and types alone, and no weights are read.
"""

from __future__ import annotations

import re
import struct
from contextvars import ContextVar
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import _getdtype, load_file
from torch import Tensor, nn

from ..errors import ModelError
from ..memory import is_shortage
from .header import named, plain_name, read_header
from .outline import ZIP, Damaged, HoldsCode, Unclear, outline

if TYPE_CHECKING:
    from torch._subclasses.fake_tensor import FakeTensorMode

SHAPES_ONLY: ContextVar[FakeTensorMode | None] = ContextVar("SHAPES_ONLY", default=None)
"""What makes tensors without values while a model's shapes are asked for; None: weights are read."""

DAMAGE = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What `torch.load` raises on files with changed bytes, besides UnpicklingError."""


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file by name, on the CPU, in the file's own precision.

    Raises ModelError if the file is missing, broken or no model, or if it is a pickle that holds code.
    """
    pickled, mode = read_header(path).pickled, SHAPES_ONLY.get()
    if pickled:
        held = named_tensors(path, load_pickle(path, "meta" if mode else "cpu"))
        return held if mode is None else {name: without_values(tensor, mode) for name, tensor in held.items()}
    try:
        if mode:
            return _shapes(path, mode)
        return {plain_name(name): tensor for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path} is not a readable safetensors file; download or copy it again.") from error


def without_values(tensor: Tensor, mode: FakeTensorMode) -> Tensor:
    """A tensor of this shape and type on the CPU, for computations that compute no values."""
    with mode:
        return torch.empty(tensor.shape, dtype=tensor.dtype)


def _shapes(path: Path, mode: FakeTensorMode) -> dict[str, Tensor]:
    """The tensors of a safetensors file without values."""
    with safe_open(path, "np") as file, mode:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        return {
            plain_name(name): torch.empty(part.get_shape(), dtype=_getdtype(part.get_dtype()))
            for name, part in parts.items()
        }


def load_pickle(path: Path, device: str = "cpu") -> Any:
    """What a PyTorch file holds, read with `weights_only=True`; on `meta`, shapes alone.

    Raises ModelError if the file is broken, or holds anything whose reading would run code.
    """
    broken = f"{path} is not a readable PyTorch file; download or copy it again."
    if path.suffix == ".safetensors":  # torch goes by the name, and would hand it to safetensors
        raise ModelError(f"{path} is a PyTorch file in spite of its name; rename it to end in .ckpt.")
    with path.open("rb") as file:
        is_zip = file.read(len(ZIP)) == ZIP
    try:
        # Mapped into memory, the weights of a zip are never read for their shapes; the old format cannot be mapped.
        # The first textual inversions lie in a ParameterDict, which runs no code either.
        with torch.serialization.safe_globals([nn.ParameterDict, *_stand_ins(path)]):
            return torch.load(path, map_location=device, weights_only=True, mmap=is_zip and device == "meta")
    except UnpicklingError as error:
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ModelError(
                f"{path} holds code ({found[1]}) besides weights and is refused, because reading it could run that "
                "code; choose the same model as a .safetensors file."
            ) from error
        raise ModelError(broken) from error
    except DAMAGE as error:
        if is_shortage(error):
            raise
        raise ModelError(broken) from error


def _stand_ins(path: Path) -> list[tuple[type, str]]:
    """Something empty for each thing that the file names and does not call, by its name."""
    try:
        named = outline(path).named
    except (Damaged, HoldsCode, OSError, Unclear):  # torch says in which sentence it is refused
        return []
    return [(type(name, (_Empty,), {}), name) for name in named]


class _Empty:
    """Takes what it is given, and keeps nothing."""

    def __new__(cls, *arguments: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def named_tensors(path: Path, content: Any) -> dict[str, Tensor]:
    """The tensors of a PyTorch file's content, without what trainers wrap around them.

    Tensors one level further down, as those of textual inversion are, have both names joined by a dot.
    Raises ModelError if there are none.
    """
    return named(path, content, Tensor, (dict, nn.ParameterDict))
