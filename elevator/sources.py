"""Which files a pair of models is: one object from a style's file to the networks. Importing this imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self, TypeAlias

import msgspec

from .embedded import located

PathLike: TypeAlias = str | os.PathLike[str]


class Lora(msgspec.Struct, frozen=True):
    """A LoRA, a file or a folder of diffusers', and its weight."""

    path: str
    weight: float = 1.0


class Sources(msgspec.Struct, frozen=True):
    """The files and folders of a T2I and a T2V that work together, and of what is put on them."""

    t2i: str
    """Stable Diffusion 1.x or 2.x: a folder in diffusers' layout, or one file in Stable Diffusion's own with its text
    encoder and VAE; or a name of embedded models."""
    t2v: str
    """A folder with `unet/` (ZeroScope) or `motion_adapter/`, a folder or file of AnimateDiff motion modules (put on
    the T2I's own UNet), or LaVie's file; or a name of embedded models. `text_encoder/`, `tokenizer/` and `scheduler/`
    in the folder, or beside the file, are used where they exist, and so is a LoRA in a folder of motion modules."""
    vae: str | None = None
    """Instead of the T2I's."""
    prediction_type: str | None = None
    """`epsilon` or `v_prediction`, where the T2I's file does not say it (SD 2.x of 768 pixels predict v)."""
    rescale_betas_zero_snr: bool | None = None
    """Whether the T2I's last level of noise is noise alone (arXiv 2305.08891), visited first, as models need it that
    were trained so; None: as its file or its folder's scheduler says."""
    distilled: str | None = None
    """`lcm`, `hyper`, `lightning` or `turbo`, where the T2I, by itself or with `loras`, was distilled to a few steps;
    None: what its folder says."""
    t2v_text: str | None = None
    """Whose text encoder the T2V reads; without one of its own it reads the T2I's, which for LaVie should be that of
    SD 1.4."""
    t2v_schedule: str | None = None
    """`animatediff`, `lavie`, `lcm`, `lightning` or `stable_diffusion`; None: what the folder's scheduler says, else by
    kind, as `elevator.checkpoints.training` tells it of motion modules."""
    t2v_loras: tuple[Lora, ...] = ()
    """On a T2V of motion modules alone: on those, or on its own copy of the T2I's layers, as AnimateLCM's is."""
    loras: tuple[Lora, ...] = ()
    """On the T2I and its text encoder; those for motion modules on these."""
    embeddings: tuple[str, ...] = ()
    """Textual inversion files."""
    loras_on_t2v: bool = False
    """Whether `loras` are on the T2V too: a choice for motion modules, whose layers are the T2I's."""

    @classmethod
    def of(
        cls,
        t2i: PathLike,
        t2v: PathLike,
        *,
        vae: PathLike | None = None,
        prediction_type: str | None = None,
        rescale_betas_zero_snr: bool | None = None,
        distilled: str | None = None,
        t2v_text: PathLike | None = None,
        t2v_schedule: str | None = None,
        t2v_loras: Iterable[tuple[PathLike, float]] = (),
        loras: Iterable[tuple[PathLike, float]] = (),
        embeddings: Iterable[PathLike] = (),
        loras_on_t2v: bool = False,
    ) -> Self:
        """Sources whose paths may be Paths, and whose LoRAs pairs of path and weight."""
        return cls(
            t2i=os.fspath(t2i),
            t2v=os.fspath(t2v),
            vae=None if vae is None else os.fspath(vae),
            prediction_type=prediction_type,
            rescale_betas_zero_snr=rescale_betas_zero_snr,
            distilled=distilled,
            t2v_text=None if t2v_text is None else os.fspath(t2v_text),
            t2v_schedule=t2v_schedule,
            t2v_loras=tuple(Lora(os.fspath(path), weight) for path, weight in t2v_loras),
            loras=tuple(Lora(os.fspath(path), weight) for path, weight in loras),
            embeddings=tuple(os.fspath(path) for path in embeddings),
            loras_on_t2v=loras_on_t2v,
        )

    @property
    def pair(self) -> Self:
        """The models alone, without what may be put on them and taken off again: LoRAs and embeddings."""
        return msgspec.structs.replace(self, loras=(), loras_on_t2v=False, embeddings=())

    @property
    def t2i_path(self) -> Path:
        """Where the T2I lies."""
        return located(self.t2i, "t2i")

    @property
    def t2v_path(self) -> Path:
        """Where the T2V lies."""
        return located(self.t2v, "t2v")

    def paths(self) -> Iterator[tuple[str, Path]]:
        """Every file or folder, with the field that names it."""
        yield "t2i", self.t2i_path
        yield "t2v", self.t2v_path
        for field in ("vae", "t2v_text"):
            if (text := getattr(self, field)) is not None:
                yield field, Path(text)
        for field in ("t2v_loras", "loras"):
            yield from ((field, Path(lora.path)) for lora in getattr(self, field))
        yield from (("embeddings", Path(path)) for path in self.embeddings)
