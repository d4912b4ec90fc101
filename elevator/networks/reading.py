"""Networks from folders in diffusers layout, or from a config and weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel

from ..errors import ModelError
from ..models import Reading
from ..text import TextEncoder
from ..text.tokenizer import tokenizer

Loaded = TypeVar("Loaded", bound=nn.Module)


class Reader(Reading):
    """Reads weights and counts how often. All networks are in evaluation mode, without gradients."""

    def folder(self, cls: type[Loaded], folder: Path, dtype: torch.dtype | None = None) -> Loaded:
        """A network with its config. Raises ModelError if the folder does not hold one."""
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder} has no config.json; choose a model folder in diffusers layout.")
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
        network.load_state_dict({name: tensor.to(cast) for name, tensor in tensors.items()}, strict=False, assign=True)
        # torch's own cast, for the buffers: diffusers' logs a warning with every call.
        ready: Loaded = self._ready(nn.Module.to(network, cast))
        return ready

    def _ready(self, network: Loaded) -> Loaded:
        self.count += 1
        return network.to(self.device).eval().requires_grad_(False)

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
