"""Networks from folders in diffusers layout, or from a config and weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel

from ..checkpoints.weights import SHAPES_ONLY, load_tensors, without_values
from ..errors import ModelError
from ..models import Reading
from ..text import TextEncoder
from ..text.tokenizer import tokenizer

if TYPE_CHECKING:
    from torch._subclasses.fake_tensor import FakeTensorMode

Loaded = TypeVar("Loaded", bound=nn.Module)


class Reader(Reading):
    """Reads weights and counts how often. All networks are in evaluation mode, without gradients.

    While ``SHAPES_ONLY`` is set, networks have parameters without values.
    """

    def folder(self, cls: type[Loaded], folder: Path, dtype: torch.dtype | None = None) -> Loaded:
        """A network with its config. Raises ModelError if the folder does not hold one."""
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder} has no config.json; choose a model folder in diffusers layout.")
        if mode := SHAPES_ONLY.get():
            shapes: Loaded = _shapes(cls, folder, self.dtype if dtype is None else dtype, mode)
            return self._ready(shapes)
        try:
            network: Loaded = cls.from_pretrained(  # type: ignore[attr-defined]
                folder, torch_dtype=self.dtype if dtype is None else dtype, local_files_only=True
            )
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError, UnpicklingError) as error:
            raise ModelError(f"The model in {folder} does not load; download or copy it again.") from error
        return self._ready(network)

    def weights(
        self,
        cls: type[Loaded],
        config: Any,
        tensors: Mapping[str, Tensor],
        path: Path,
        dtype: torch.dtype | None = None,
    ) -> Loaded:
        """``cls(**config)`` with the given weights, of which none may be missing or left over.

        Buffers are computed by the class. Raises ModelError, which names ``path``, if the weights do not fit.
        """
        with init_empty_weights():  # parameters alone, so that their memory is taken once
            network: Any = cls(CLIPTextConfig(**config)) if cls is CLIPTextModel else cls(**config)
        wanted = dict(network.named_parameters())
        wrong = sorted(
            {name for name in wanted if name not in tensors}
            | {name for name, tensor in tensors.items() if name not in wanted or tensor.shape != wanted[name].shape}
        )
        if wrong:
            raise ModelError(
                f"{path} has {len(wrong)} tensors that a {cls.__name__} should not have, lacks, or has in another "
                f"shape, such as {wrong[0]}; download it again or choose another file."
            )
        cast = self.dtype if dtype is None else dtype
        assigned: Loaded = _assigned(network, tensors, cast)
        return self._ready(assigned)

    def _ready(self, network: Loaded) -> Loaded:
        self.count += 1
        if not SHAPES_ONLY.get():  # tensors without values stay where they are
            network.to(self.waiting or self.device)
        return network.eval().requires_grad_(False)

    def text_encoder(self, folder: Path) -> TextEncoder:
        """``text_encoder/`` of a folder with its ``tokenizer/``, or CLIP's where it has none."""
        encoder = self.folder(CLIPTextModel, folder / "text_encoder")
        if not (folder / "tokenizer").is_dir():
            return TextEncoder(clip_tokenizer(folder, encoder), encoder)
        try:
            own = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelError(f"The tokenizer in {folder} does not load; download or copy it again.") from error
        return TextEncoder(own, encoder)


def _assigned(network: Any, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> Any:
    """A network on the meta device, with its parameters and buffers cast."""
    # torch's own cast, for the buffers: diffusers' logs a warning with every call.
    nn.Module.to(network, dtype)
    network.load_state_dict({name: tensor.to(dtype) for name, tensor in tensors.items()}, strict=False, assign=True)
    return network


def _shapes(cls: type[Any], folder: Path, dtype: torch.dtype, mode: FakeTensorMode) -> Any:
    """What ``from_pretrained`` makes of a folder, without values."""
    with init_empty_weights():
        if cls is CLIPTextModel:
            network: Any = cls(CLIPTextConfig.from_pretrained(folder, local_files_only=True))
        else:
            network = cls.from_config(cls.load_config(folder, local_files_only=True))
    # As from_pretrained does, files are held until all of their tensors are cast; those of the right type stay.
    held = {name: tensor for file in _weight_files(folder) for name, tensor in load_tensors(file).items()}
    own = {name: held.get(name, without_values(empty, mode)) for name, empty in network.named_parameters()}
    return _assigned(network, own, dtype)


def _weight_files(folder: Path) -> list[Path]:
    """The files of weights that ``from_pretrained`` reads: in one part or several."""
    for suffix in ("safetensors", "bin"):
        for name in (f"*model.{suffix}", f"*model-?????-of-?????.{suffix}"):
            if found := sorted(folder.glob(name)):
                return found
    raise ModelError(f"{folder} holds no weights; download or copy it again.")


def clip_tokenizer(path: Path, encoder: Any) -> Any:
    """CLIP's tokenizer as the encoder was trained with it: SD 1.x pads with the end token, SD 2.x with id 0.

    Their encoders differ in their activation. Raises ModelError if the vocabulary is not CLIP's.
    """
    made = tokenizer("zero" if encoder.config.hidden_act == "gelu" else "end")
    if encoder.config.vocab_size != len(made):
        raise ModelError(f"{path} has no tokenizer; put the folder tokenizer/ of its model there.")
    return made


def expect(folder: Path, *classes: str) -> str:
    """The ``_class_name`` in a folder's config, which must be one of those given."""
    name = str(read_config(folder / "config.json").get("_class_name"))
    if name not in classes:
        raise ModelError(f"{folder} holds a {name}; choose a folder with a {' or '.join(classes)}.")
    return name


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ModelError if the file is missing or holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing; choose a model folder in diffusers layout.") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a readable config; download or copy it again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a readable config; download or copy it again.")
    return content
