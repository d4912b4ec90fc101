"""What there is to get: models with their files, and sets of models that are enough for a style.

Ours are in `catalogue.toml` beside this module, not in `backend/styles/`, where every TOML file is a style; a user's
own in `catalogue.toml` of the settings folder. docs/MODELS.md tells users all keys.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from elevator.presets import fitting, presets_for
from shared_protocol.edited import text_of
from shared_protocol.machine import places

from .failures import ModelFailure

OURS = Path(__file__).with_name("catalogue.toml")
FILE_BYTES = 1 << 20
"""More than any catalogue has."""

Kind: TypeAlias = Literal["t2i", "t2v", "vae", "text", "lora", "motion_lora", "preview"]
"""What a model is for. `text`: a text encoder alone; `preview`: a tiny VAE."""
EntryName: TypeAlias = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9_]{0,63}\Z")]
"""Of a model or a set; the model's files lie in a folder of this name."""
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=400)]
Bytes: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 50)]
_PART = r"[A-Za-z0-9_+()\[\]\-][A-Za-z0-9_+()\[\].\- ]{0,127}"
_PATH = re.compile(rf"{_PART}(?:/{_PART}){{0,7}}")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)
"""Names that Windows keeps for devices."""


def is_plain_path(path: str) -> bool:
    """Whether it is a relative path that leads nowhere else, on any system: `/` between parts, none of them hidden."""
    return bool(_PATH.fullmatch(path)) and not any(
        _RESERVED.match(part) or part.endswith((".", " ")) for part in path.split("/")
    )


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a model, as its publisher has it."""

    path: str
    """In its repository, and below the model's folder here."""
    size: Bytes | None = None
    """As published, bytes."""
    about: Bytes = 0
    """Where the size is not known: an estimate."""
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")] | None = None
    """As published. None: learned at the first download."""

    def __post_init__(self) -> None:
        if not is_plain_path(self.path):
            raise ValueError(f'the path "{self.path}" of a file is not a plain relative one')

    @property
    def expected(self) -> int:
        """Bytes, as well as they are known."""
        return self.about if self.size is None else self.size


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files that are got together, from one repository of the hub."""

    title: Text
    kind: Kind
    repo: Annotated[str, Meta(pattern=r"\A[\w.\-]{1,96}/[\w.\-]{1,96}\Z")]
    """`owner/name`."""
    revision: Annotated[str, Meta(pattern=r"\A[\w.\-]{1,100}\Z")] = "main"
    """A commit, where it is known; else a branch."""
    licence: Text
    """One sentence for people."""
    needs: Annotated[str, Meta(max_length=400)] = ""
    """What else it needs to be of use; one sentence."""
    folder: bool = False
    """Whether its folder is the model, rather than its one file."""
    files: Annotated[tuple[File, ...], Meta(min_length=1, max_length=200)]

    def __post_init__(self) -> None:
        if not self.folder and sum(is_weights(file.path) for file in self.files) != 1:
            raise ValueError("a model that is no folder needs one file of weights")
        if len({file.path.casefold() for file in self.files}) < len(self.files):
            raise ValueError("two files have one path")

    @property
    def expected(self) -> int:
        """Bytes of all files, as well as they are known."""
        return sum(file.expected for file in self.files)

    @property
    def main(self) -> str:
        """Path below the model's folder of what is named in a base: its file of weights, or "" for the folder."""
        return "" if self.folder else next(file.path for file in self.files if is_weights(file.path))


class WeightedLora(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A LoRA of a set."""

    model: EntryName
    weight: Annotated[float, Meta(ge=-4, le=4)] = 1.0


class ModelSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models that are enough for a base and a style, and how these look (docs/STYLES.md). Names are the catalogue's."""

    title: Text
    about: Text
    memory_gb: Annotated[float, Meta(gt=0, le=1000)]
    """Of a graphics card that should be enough, 10⁹ bytes; estimated."""
    t2i: EntryName
    t2v: EntryName
    vae: EntryName | None = None
    t2v_text: EntryName | None = None
    """Whose text encoder the T2V reads."""
    t2v_loras: tuple[WeightedLora, ...] = ()
    loras: tuple[WeightedLora, ...] = ()
    also: tuple[EntryName, ...] = ()
    """What is got with it and used by hand, such as movements of the camera."""
    t2v_schedule: Literal["animatediff", "lavie", "lcm", "lightning", "stable_diffusion"] | None = None
    distilled: Literal["lcm", "hyper", "lightning", "turbo"] | None = None
    """How the T2I was distilled to a few steps: by one of `loras`, or by itself where there are none."""
    presets: Literal["zeroscope", "lavie", "animatelcm", "animatediff", "lightning"]
    preset: Text
    width: Annotated[int, Meta(ge=64, le=4096)] = 512
    height: Annotated[int, Meta(ge=64, le=4096)] = 512
    frames: Annotated[int, Meta(ge=1, le=1000)] = 16
    fps: Annotated[float, Meta(ge=0.01, le=1000)] = 8
    example_prompt: Text

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all that it needs, each once."""
        single = (name for name in (self.t2i, self.t2v, self.vae, self.t2v_text) if name is not None)
        return tuple(dict.fromkeys((*single, *(lora.model for lora in (*self.t2v_loras, *self.loras)), *self.also)))


class _CatalogueFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    models: dict[EntryName, Model] = {}
    sets: dict[EntryName, ModelSet] = {}


@dataclass(frozen=True)
class Catalogue:
    """All that there is to get, by name."""

    models: Mapping[str, Model]
    sets: Mapping[str, ModelSet]

    def named(self, name: str) -> dict[str, Model]:
        """The models of a set, or the one of this name. Raises ModelFailure."""
        if name in self.sets:
            return {each: self.models[each] for each in self.sets[name].models}
        if name in self.models:
            return {name: self.models[name]}
        raise ModelFailure("model_unknown", name=name)

    def size(self, name: str) -> int:
        """Bytes of a set or model, as well as they are known."""
        return sum(model.expected for model in self.named(name).values())


def own_file() -> Path:
    """The user's own catalogue."""
    return places.config_folder() / "catalogue.toml"


def is_weights(path: str) -> bool:
    """Whether a file holds weights, by its name."""
    return path.lower().endswith((".safetensors", ".ckpt", ".pt", ".pth", ".bin"))


def read_catalogue(ours: Path = OURS) -> Catalogue:
    """Ours and the user's own, whose entries take the place of ours of the same name. Raises ModelFailure."""
    models: dict[str, Model] = {}
    sets: dict[str, ModelSet] = {}
    own = own_file()
    for file in (ours, own):
        if file == ours or file.exists():
            read = _read(file)
            models |= read.models
            sets |= read.sets
            for sentence in _faults(read, models):
                raise ModelFailure("catalogue_unread", file=file, detail=sentence)
    return Catalogue(models, sets)


def _read(file: Path) -> _CatalogueFile:
    try:
        if not file.is_file() or file.stat().st_size > FILE_BYTES:
            raise ModelFailure("catalogue_unread", file=file, detail=f"it is no file of at most {FILE_BYTES} bytes")
        return msgspec.convert(tomllib.loads(text_of(file.read_bytes())), _CatalogueFile)
    except OSError as error:
        raise ModelFailure("catalogue_unread", file=file, detail=error.strerror) from error
    except RecursionError:
        raise ModelFailure("catalogue_unread", file=file, detail="it is nested too deeply") from None
    except ValueError as error:  # tomllib, msgspec and `text_of` say all of it by this
        raise ModelFailure("catalogue_unread", file=file, detail=str(error).rstrip(".")) from error


def _faults(read: _CatalogueFile, models: Mapping[str, Model]) -> Iterator[str]:
    """What the types do not say: that names name something, and something of the right kind."""
    for name in read.models.keys() & read.sets.keys():
        yield f'"{name}" is both a model and a set'
    for name, made in read.sets.items():
        kinds: dict[str | None, set[Kind]] = {
            made.t2i: {"t2i"},
            made.t2v: {"t2v"},
            made.vae: {"vae"},
            made.t2v_text: {"text", "t2i"},
            **{lora.model: {"lora"} for lora in made.loras},
            **{lora.model: {"lora", "motion_lora"} for lora in made.t2v_loras},
        }
        for each in made.models:
            if each not in models:
                yield f'the set "{name}" names the model "{each}", which is in no catalogue'
            elif models[each].kind not in kinds.get(each, {models[each].kind}):
                yield f'the set "{name}" uses the model "{each}" as what it is not: it is a {models[each].kind}'
        if made.preset not in fitting(presets_for(made.presets), few_steps=made.distilled is not None):
            yield f'the set "{name}" names the preset "{made.preset}", which {made.presets} does not have'
