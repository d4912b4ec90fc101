"""Networks from folders in diffusers layout, or from a config and weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel

from ..checkpoints.folders import weight_files
from ..checkpoints.weights import SHAPES_ONLY, load_tensors
from ..errors import ModelError
from ..memory import is_shortage
from ..text import TextEncoder
from ..text.tokenizer import tokenizer
from .pair import Reading

Loaded = TypeVar("Loaded", bound=nn.Module)
Made = TypeVar("Made")

SPAN = 32 * 2**20
"""Bytes of weights that are read between two reports."""
PAGE = 1024
"""Elements of a tensor that lie in one page of memory at most; in float32, exactly."""
_BESIDES = ("text_projection", "logit_scale", "vision_model.", "visual_projection")
"""Of CLIP's tensors, those that no text encoder of Stable Diffusion needs."""
_TEXT_ENCODERS = {"CLIPTextModel", "CLIPTextModelWithProjection", "CLIPModel"}


@dataclass(frozen=True)
class Loading:
    """How far models are read."""

    done: int
    """Bytes of weights."""
    total: int
    """Bytes of weights in all files that are read; more than in the end where a file holds other things too."""
    networks: int
    """Read so far, in all."""


class Component(NamedTuple):
    """Which of a model's networks one is, and how it was read; those of equal keys are interchangeable."""

    kind: str
    path: Path
    """Absolute, of its folder or file."""
    dtype: str
    device: str
    waits: bool
    """Whether it waits in the processor's memory until it runs."""
    stamp: tuple[tuple[str, int, int], ...]
    """Name, bytes and time of change (ns) of its files."""


Components: TypeAlias = Mapping[Component, Any]
"""Networks, and text encoders with their tokenizers."""


@dataclass(eq=False)
class Reader(Reading):
    """Reads weights and counts how often. All networks are in evaluation mode, without gradients.

    What reads is a generator, which yields after every `SPAN` bytes and after every network.
    While `SHAPES_ONLY` is set, networks have parameters without values.
    """

    held: Components = field(default_factory=dict)
    """That were read before, and are taken instead of reading them again."""
    components: dict[Component, Any] = field(default_factory=dict)
    """All that were asked for."""
    total: int = 0
    """Bytes of weights that there are to read."""
    done: int = 0

    def progress(self) -> Loading:
        """How far this is."""
        return Loading(min(self.done, self.total), self.total, self.count)

    def component(
        self, kind: str, path: Path, make: Callable[[], Generator[Loading, None, Made]]
    ) -> Generator[Loading, None, Made]:
        """The component of this kind at a folder or file: one that is held, or what `make` reads."""
        key = Component(
            kind, path.absolute(), str(self.dtype), str(self.device), self.waiting is not None, stamp_of(path)
        )
        if key not in self.components:
            self.components[key] = self.held[key] if key in self.held else (yield from make())
        made: Made = self.components[key]
        return made

    def folder(
        self, cls: type[Loaded], folder: Path, dtype: torch.dtype | None = None
    ) -> Generator[Loading, None, Loaded]:
        """A network with its config. Raises ModelError if the folder does not hold one."""
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder} has no config.json; choose a model folder in diffusers layout.")
        _expect_class(folder, cls)
        return (yield from self.component(cls.__name__, folder, lambda: self._folder(cls, folder, dtype)))

    def _folder(self, cls: type[Loaded], folder: Path, dtype: torch.dtype | None) -> Generator[Loading, None, Loaded]:
        files = weight_files(folder)
        try:
            network = _empty(cls, folder)
            tensors = _held(network, files)
        except Mismatch as error:
            raise ModelError(
                f"The weights in {folder} do not fit its config.json ({error}); choose another."
            ) from error
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, ModelError) as error:
            if is_shortage(error):
                raise
            raise ModelError(f"The model in {folder} does not load; download or copy it again.") from error
        loaded: Loaded = yield from self._filled(network, tensors, dtype)
        return loaded

    def weights(
        self,
        cls: type[Loaded],
        config: Any,
        tensors: Mapping[str, Tensor],
        path: Path,
        dtype: torch.dtype | None = None,
    ) -> Generator[Loading, None, Loaded]:
        """`cls(**config)` with the given weights, of which none may be missing or left over.

        Buffers are computed by the class. Raises ModelError, which names `path`, if the weights do not fit.
        """
        try:
            with init_empty_weights():  # parameters alone, so that their memory is taken once
                network: Any = cls(CLIPTextConfig(**config)) if cls is CLIPTextModel else cls(**config)
        except (LookupError, TypeError, ValueError, ZeroDivisionError) as error:
            # The config was read off the weights, and what these lack it cannot say.
            raise ModelError(f"{path} lacks layers of a {cls.__name__}; choose another file.") from error
        wanted = dict(network.named_parameters())
        wrong = sorted(_misfits(wanted, tensors) | {name for name in tensors if name not in wanted})
        if wrong:
            raise ModelError(
                f"{path} has {len(wrong)} tensors that a {cls.__name__} should not have, lacks, or has in another "
                f"shape, such as {wrong[0]}; choose another file."
            )
        loaded: Loaded = yield from self._filled(network, tensors, dtype)
        return loaded

    def _filled(
        self, network: Any, tensors: Mapping[str, Tensor], dtype: torch.dtype | None
    ) -> Generator[Loading, None, Any]:
        """A network on the meta device, with its parameters and buffers cast and where they belong."""
        dtype = self.dtype if dtype is None else dtype
        device = None if SHAPES_ONLY.get() else self.waiting or self.device  # without values they stay where they are
        # torch's own cast, for the buffers: diffusers' logs a warning with every call.
        nn.Module.to(network, dtype)
        cast: dict[str, Tensor] = {}
        told = self.done
        for name, tensor in tensors.items():
            cast[name] = tensor.to(device, dtype if tensor.is_floating_point() else None)
            if device is not None and cast[name] is tensor:
                tensor.flatten()[::PAGE].sum()  # mapped into memory, it would be read when the network first runs
            self.done += tensor.nbytes
            if self.done - told >= SPAN:
                told = self.done
                yield self.progress()
        network.load_state_dict(cast, strict=False, assign=True)
        if device is not None:
            nn.Module.to(network, device)  # buffers that the class has computed
        self.count += 1
        yield self.progress()
        return network.eval().requires_grad_(False)

    def text_encoder(self, folder: Path) -> Generator[Loading, None, TextEncoder]:
        """`text_encoder/` of a folder with its `tokenizer/`, or CLIP's where it has none."""
        encoder = yield from self.folder(CLIPTextModel, folder / "text_encoder")
        if not (folder / "tokenizer").is_dir():
            return TextEncoder(clip_tokenizer(folder, encoder), encoder)
        try:
            own = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelError(f"The tokenizer in {folder} does not load; download or copy it again.") from error
        return TextEncoder(own, encoder)


def stamp_of(path: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes with the content of a file, or of the files in a folder; () if there is none."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = ((file.name, file.stat()) for file in files if file.is_file())
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in found)


def _empty(cls: type[Any], folder: Path) -> Any:
    """The network that a folder's config describes, with parameters on the meta device."""
    config = read_config(folder / "config.json")
    with init_empty_weights():
        if cls is CLIPTextModel:
            return cls(CLIPTextConfig.from_dict(config))
        return cls.from_config(config)


class Mismatch(Exception):
    """Weights are of another network than the config says."""


def _held(network: Any, files: Iterable[Path]) -> dict[str, Tensor]:
    """The tensors of files that the network has a place for. Raises Mismatch if one does not fit or is missing."""
    tensors = {name: tensor for file in files for name, tensor in load_tensors(file).items()}
    if isinstance(network, CLIPTextModel):
        tensors = plain_names(tensors)
    else:
        network._fix_state_dict_keys_on_load(tensors)  # attention of VAEs, as diffusers named it before 0.17
    places = network.state_dict()
    wrong = sorted(_misfits(dict(network.named_parameters()), tensors))
    if wrong:
        raise Mismatch(f"{len(wrong)} tensors are missing or of another shape, such as {wrong[0]}")
    return {name: tensor for name, tensor in tensors.items() if name in places}


def _misfits(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> set[str]:
    """The names of parameters that have no tensor, or one of another shape."""
    return {name for name, own in wanted.items() if name not in tensors or tensors[name].shape != own.shape}


def plain_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A text encoder's tensors as transformers 5 names them.

    That is without `text_model`, and with positions that are counted, not stored. What CLIP has besides, to compare
    texts with pictures, is left out.
    """
    return {
        name.removeprefix("text_model."): tensor
        for name, tensor in tensors.items()
        if not name.endswith("position_ids") and not name.startswith(_BESIDES)
    }


def clip_tokenizer(path: Path, encoder: Any) -> Any:
    """CLIP's tokenizer as the encoder was trained with it: SD 1.x pads with the end token, SD 2.x with id 0.

    Their encoders differ in their activation. Raises ModelError if the vocabulary is not CLIP's.
    """
    made = tokenizer("zero" if encoder.config.hidden_act == "gelu" else "end")
    if encoder.config.vocab_size != len(made):
        raise ModelError(f"{path} has no tokenizer; put the folder tokenizer/ of its model there.")
    return made


def expect(folder: Path, *classes: str) -> str:
    """The `_class_name` in a folder's config, which must be one of those given."""
    name = str(read_config(folder / "config.json").get("_class_name"))
    if name not in classes:
        raise ModelError(f"{folder} holds a {name}; choose a folder with a {' or '.join(classes)}.")
    return name


def _expect_class(folder: Path, cls: type[Any]) -> None:
    """Raise ModelError, which names the class, if a folder's config is that of another one."""
    config = read_config(folder / "config.json")
    names = config.get("architectures")
    found = config.get("_class_name") or (names[0] if isinstance(names, list) and names else None)
    fitting = _TEXT_ENCODERS if cls is CLIPTextModel else {cls.__name__}
    if found is not None and str(found) not in fitting:
        raise ModelError(f"{folder} holds a model of the class {found}; choose one of the class {cls.__name__}.")


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ModelError if the file is missing or holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing; choose a model folder in diffusers layout.") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a readable config; download or copy it again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a readable config; download or copy it again.")
    return content
