"""What stands in the TOML files of bases and styles, and how one is read. docs/STYLES.md tells users all keys."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from elevator.checkpoints.uses import PresetsOf
from shared_protocol.edited import text_of
from shared_protocol.machine import places
from shared_protocol.messages import MOST_LORAS, MOST_PRESETS, Frames, Name, Prompt, Sentence, SidePx

from . import mistakes

STYLES = Path(__file__).parent
BASES = STYLES / "bases"
_NAME = re.compile(r"[a-z0-9_]{1,64}\Z")
FILE_BYTES = 1 << 20
"""More than any style or base needs."""
K = TypeVar("K", bound=msgspec.Struct)
PathText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"\A[^\0]*\Z")]
PresetNames: TypeAlias = Annotated[tuple[Name, ...], Meta(max_length=MOST_PRESETS)]
ScheduleName: TypeAlias = Literal["animatediff", "lavie", "lcm", "lightning", "stable_diffusion"]
"""The schedules that the sampler knows."""
DistilledName: TypeAlias = Literal["lcm", "hyper", "lightning", "turbo", "none"]
"""How text-to-image models are distilled to a few steps."""


class LoraEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A LoRA by its name in the base's folder of LoRAs, or by a path."""

    name: str = ""
    path: str = ""
    weight: Annotated[float, Meta(ge=-4, le=4)] = 1.0
    on: bool = True
    """Whether it is on the model. One that is off is kept with its weight, and can be put on for a clip."""

    def __post_init__(self) -> None:
        if bool(self.name) == bool(self.path):
            raise ValueError("a LoRA needs a name or a path, and not both")


class Base(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two models that belong together, as a base file describes them. Sizes and lengths default to SD 1.x's.

    Relative paths start at the project's folder in our bases, and at the base file in users' own.
    """

    title: Name
    t2i: PathText
    """Folder or file of the text-to-image model."""
    t2v: PathText
    """Folder or file of the text-to-video model."""
    vae: PathText | None = None
    """Folder or file of a VAE instead of the text-to-image model's."""
    prediction_type: Literal["epsilon", "v_prediction"] | None = None
    """What the text-to-image model predicts, where its file does not say it."""
    rescale_betas_zero_snr: bool | None = None
    """Whether its last level of noise is noise alone, where its file does not say it."""
    distilled: DistilledName | None = None
    """How the text-to-image model was distilled to a few steps, where its folder does not say it."""
    t2v_loras: tuple[LoraEntry, ...] = ()
    """LoRAs that belong to the text-to-video model."""
    t2v_text: PathText | None = None
    """Folder or file whose text encoder the text-to-video model reads."""
    t2v_schedule: ScheduleName | None = None
    """Noise schedule of the text-to-video model, where its files do not say it."""
    loras: PathText = "loras"
    """Folder in which a LoRA is found by its name."""
    width: SidePx = 512
    height: SidePx = 512
    frames: Frames = 16
    """Native size, pixels, and length."""
    fps: Annotated[float, Meta(ge=0.01, le=1000)] = 8
    size_step: SidePx = 64
    min_size: SidePx = 256
    max_size: SidePx = 1024
    """Limits of width and height, pixels."""
    max_frames: Frames = 32
    presets: Annotated[dict[Name, dict[str, Any]], Meta(max_length=MOST_PRESETS)] | PresetsOf = {}
    """Settings of the sampler's plan, by name; or whose published ones and their shorter relatives are meant. Without
    any, those that lie in the text-to-video model's own folder."""


class StyleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A style as its file describes it. Relative paths start at that file."""

    title: Name
    description: Sentence = ""
    base: Name
    prompt: Prompt = "{prompt}"
    negative_prompt: Prompt = ""
    preset: Name
    example_prompt: Prompt
    loras: Annotated[tuple[LoraEntry, ...], Meta(max_length=MOST_LORAS)] = ()
    loras_on_t2v: bool = False
    """Whether the LoRAs also go on the text-to-video model, if that is made of motion modules."""
    distilled: DistilledName | None = None
    """How the text-to-image model is distilled to a few steps, with one of the LoRAs, and not by itself."""
    embeddings: tuple[PathText, ...] = ()
    """Textual inversion files."""
    plan: dict[str, Any] = {}
    """Settings of the sampler's plan instead of the preset's."""


class Unusable(Exception):
    """A file cannot be used; the message says why, as a clause."""


def is_name(text: str) -> bool:
    """Whether a style or base can be called so."""
    return _NAME.match(text) is not None


def path_in(start: Path, text: str) -> Path:
    """The path that a file names, from `start` on if it is relative. `~` and variables of the environment, `$NAME` and
    on Windows `%NAME%`, are filled in as a shell would, unless a file is called so."""
    literal = start / text
    if text.startswith("~") or "$" in text or "%" in text:
        filled = os.path.expandvars(os.path.expanduser(text))
        if filled != text and "\0" not in text and not os.path.lexists(literal):
            return start / filled
    return literal


def own_styles() -> Path:
    """The folder of the user's own styles."""
    return places.config_folder() / "styles"


def own_bases() -> Path:
    """The folder of the user's own bases."""
    return places.config_folder() / "bases"


def _lines(text: str) -> str:
    """The text with the ends of lines that TOML knows, whatever the editor writes."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read(path: Path, kind: type[K]) -> K:
    """What stands in a file. Raises Unusable."""
    name = f"{path.parent.name}/{path.name}"  # a base and its style may be called the same
    try:
        if not path.is_file() or path.stat().st_size > FILE_BYTES:  # to read a pipe would take for ever
            raise Unusable(f"{name} is no file, or larger than {FILE_BYTES} bytes")
        content = tomllib.loads(_lines(text_of(path.read_bytes())))
    except OSError as error:
        raise Unusable(f"{name} cannot be read: {error.strerror}") from error
    except RecursionError:
        raise Unusable(f"{name} has a mistake: it is nested too deeply") from None
    except ValueError as error:  # tomllib says all of it by ValueErrors
        raise Unusable(f"{name} has a mistake: {mistakes.of_toml(error)}") from error
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise Unusable(f"{name} has a mistake: {mistakes.of_types(error, kind)}") from error
    except (ValueError, OverflowError) as error:  # a number that no type here can hold
        raise Unusable(f"{name} has a mistake: {error}") from error
    except RecursionError:
        raise Unusable(f"{name} has a mistake: it is nested too deeply") from None
