"""Do the files of a pair of models fit each other? Said from headers and configs, without torch and before any clip.

The loaders in `elevator.models` judge in the end; here stands what they would say that can be known without weights.
What cannot be told is not found fault with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..errors import ModelError
from ..sources import Sources
from .folders import weight_files
from .header import NeedsTorch, read_header
from .identity import Identity, identify
from .kinds import CHANNELS, REFUSED_ALGORITHMS, Family, Kind, Layout

Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]
MOST_KEPT = 4096
"""Files and folders that are remembered."""
ROLES = {
    "t2i": "text-to-image model",
    "t2v": "text-to-video model",
    "vae": "VAE",
    "t2v_text": "text encoder",
    "t2v_loras": "LoRA",
    "loras": "LoRA",
    "embeddings": "embedding",
}
"""What the files of a style are, by the field of Sources that names them."""
_STEPS = {
    "t2i": "Name a checkpoint of SD 1.x or SD 2.x with its text encoder and VAE as t2i of the base.",
    "t2v": "Name a motion module, lavie_base.pt or the folder of ZeroScope as t2v of the base.",
    "vae": "Name a VAE as vae of the base, or leave that out.",
    "t2v_text": "Name a folder with a text encoder, or a whole checkpoint, as t2v_text of the base.",
    "t2v_loras": "Take it out of the base's t2v_loras.",
    "loras": "Take it out of the style's LoRAs.",
    "embeddings": "Take it out of the style's embeddings.",
}
_VIDEO = (Kind.T2V, Kind.MOTION_MODULE)


@dataclass(frozen=True)
class Misfit:
    """One thing that is wrong with the files of a style."""

    field: str
    """Of Sources."""
    path: Path
    code: Literal["missing", "broken", "unfit"]
    what: str
    """A clause, such as "/m/ink.safetensors is a motion module, not a LoRA"."""
    step: str
    """What to do, a sentence."""


class Known:
    """What files and folders are, by path, size, time and inode: nothing is read twice that has not changed."""

    def __init__(self) -> None:
        self.reads = 0
        """How often anything was read."""
        self._kept: dict[tuple[str, Path], tuple[Stamp, Any]] = {}

    def identity(self, path: Path) -> Identity | None:
        """What it is; None if torch alone can tell. Raises ModelError if it is no model."""
        found: Identity | None = self._get("identity", path, lambda: identify(path, torch=False))
        return found

    def whole(self, path: Path) -> None:
        """Raise ModelError if a file of weights is damaged."""
        self._get("header", path, partial(_whole, path))

    def config(self, path: Path) -> dict[str, Any]:
        """A part's config.json; empty if there is none that can be read."""
        found: dict[str, Any] = self._get("config", path, partial(_config, path))
        return found

    def _get(self, what: str, path: Path, read: Any) -> Any:
        stamp = _stamp(path)
        if (what, path) not in self._kept or self._kept[what, path][0] != stamp:
            self.reads += 1
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            try:
                found = read()
            except NeedsTorch:
                found = None
            except ModelError as error:
                found = error
            except OSError as error:
                found = ModelError(f"{path} cannot be read ({error.strerror}); check that you may open it.")
            self._kept[what, path] = (stamp, found)
        found = self._kept[what, path][1]
        if isinstance(found, ModelError):
            raise ModelError(str(found))
        return found


KNOWN = Known()
"""Of this process."""


def misfits(sources: Sources, known: Known = KNOWN) -> tuple[Misfit, ...]:
    """Everything that is wrong with these files, as far as headers tell; nothing if a clip may be tried."""
    return tuple(_Judge(sources, known).misfits())


def unfit(field: str, identity: Identity, known: Known = KNOWN) -> str:
    """Why this cannot be what a field of Sources names, whatever else a style consists of: a clause, or empty."""
    return _Judge(Sources(t2i="", t2v=""), known)._unfit(field, identity.path, identity)


class _Judge:
    """Looks at one set of files."""

    def __init__(self, sources: Sources, known: Known) -> None:
        self._sources, self._known = sources, known
        self._found: dict[Path, Identity | None] = {}
        """What those are that are there and whole."""

    def misfits(self) -> Iterator[Misfit]:
        """Those of single files first; and if there are none, those of files that do not go together."""
        wrong = [misfit for field, path in self._sources.paths() for misfit in self._alone(field, path)]
        if swapped := self._swapped():
            yield swapped
            wrong = [misfit for misfit in wrong if misfit.field not in ("t2i", "t2v")]
        yield from wrong
        if not swapped and not wrong:
            yield from self._together()

    def _alone(self, field: str, path: Path) -> Iterator[Misfit]:
        try:
            if not path.exists():
                yield Misfit(field, path, "missing", f"{path} is missing", "Put it back, or name another file.")
                return
            identity = self._found[path] = self._known.identity(path)
            if identity is not None and (what := self._unfit(field, path, identity)):
                yield Misfit(field, path, "unfit", what, _STEPS[field])
                return
            for file in self._weights(field, path):
                self._known.whole(file)
        except OSError as error:
            yield _broken(field, path, f"{path} cannot be read: {error.strerror}; check that you may open it.")
        except ModelError as error:
            yield _broken(field, path, str(error))

    def _weights(self, field: str, path: Path) -> Iterator[Path]:
        """The files of weights that are read of a folder. Raises ModelError if a part of it lacks its own."""
        if not path.is_dir():
            return
        match field:
            case "t2i":
                parts = ["unet", "text_encoder", *([] if self._sources.vae else ["vae"])]
            case "t2v":
                parts = [part for part in ("motion_adapter", "unet") if (path / part).is_dir()][:1] or ["."]
                parts += ["text_encoder"] if (path / "text_encoder").is_dir() and not self._sources.t2v_text else []
            case "t2v_text":
                parts = ["text_encoder"]
            case "vae":
                parts = ["."]
            case _:
                return
        for part in parts:
            yield from weight_files(path / part)

    def _unfit(self, field: str, path: Path, identity: Identity) -> str:
        """Why the file cannot be what the style takes it for, a clause; empty if it can."""
        kind = identity.kind
        match field:
            case "t2i":
                folder = (
                    path.is_dir() and self._known.config(path / "unet").get("_class_name") == "UNet2DConditionModel"
                )
                fits = folder or kind is Kind.T2I
                if fits and identity.family in (Family.SDXL, Family.OTHER):
                    return f"{path} is of {identity.family}, and SD 1.x or SD 2.x is needed"
                if fits and identity.channels not in (None, 4):
                    made = f"is made to {CHANNELS.get(identity.channels, 'do something else')}"
                    return f"{path} {made} ({identity.channels} channels), and one that paints from words is needed"
            case "t2v":
                fits = kind in _VIDEO
                if kind is Kind.T2V and identity.layout is not Layout.LAVIE and not path.is_dir():
                    return f"{path} is one file of a text-to-video model, and its whole folder is needed"
                if kind is Kind.MOTION_MODULE and identity.channels not in (None, 4):
                    return f"{path} moves a picture that it is given, and one that makes clips from words is needed"
            case "vae":
                fits = kind is Kind.VAE
                if fits and identity.family is Family.OTHER:
                    return f"{path} is a VAE of another latent space than that of SD 1.x and SD 2.x"
                if fits and identity.family is Family.SDXL:
                    return f"{path} is a VAE of SDXL, and one of SD 1.x or SD 2.x is needed"
            case "t2v_text":
                fits = (path / "text_encoder").is_dir() if path.is_dir() else kind is Kind.T2I
            case "loras" | "t2v_loras":
                fits = kind in (Kind.LORA, Kind.MOTION_LORA)
                if fits and identity.algorithm in REFUSED_ALGORITHMS:
                    return f"{path} is a LoRA of a kind that is not read ({identity.algorithm})"
            case _:
                fits = kind is Kind.EMBEDDING
        what = f"of the class {identity.class_name}" if kind is Kind.OTHER and identity.class_name else _a(kind)
        return "" if fits else f"{path} is {what}, not {_a(ROLES[field])}"

    def _swapped(self) -> Misfit | None:
        t2i, t2v = (self._found.get(path) for path in (self._sources.t2i_path, self._sources.t2v_path))
        if t2i is None or t2v is None or t2i.kind not in _VIDEO or t2v.kind is not Kind.T2I:
            return None
        what = f"t2i and t2v are swapped: {t2i.path} is {_a(t2i.kind)}, and {t2v.path} {_a(t2v.kind)}"
        return Misfit("t2i", t2i.path, "unfit", what, "Swap the two in the base's file.")

    def _together(self) -> Iterator[Misfit]:
        """What does not fit the T2I, or its own text encoder."""
        t2i, t2v = self._found[self._sources.t2i_path], self._found[self._sources.t2v_path]
        on_t2i = t2v is not None and t2v.kind is Kind.MOTION_MODULE
        if t2v is not None:
            yield from self._video(t2i, t2v, on_t2i)
        for field, path in self._sources.paths():
            each = self._found[path]
            if field == "loras" and each and each.kind is Kind.MOTION_LORA and t2v and not self._has_motion(t2v):
                what = f"{path} is a LoRA for motion modules, and {t2v.path} has none"
                yield Misfit(field, path, "unfit", what, _STEPS[field])
                continue
            if field in ("loras", "t2v_loras", "embeddings") and t2i and each and (differ := _differ(each, t2i)):
                what = f"{path} is {_a(each.kind)} for {differ[0]}, but {t2i.path} is of {differ[1]}"
                yield Misfit(field, path, "unfit", what, f"Choose one that was made for {differ[1]}.")
        both = self._sources.loras and self._sources.loras_on_t2v
        if both and t2v and not self._has_motion(t2v):
            what = f"{t2v.path} has no layers of the text-to-image model, so that LoRAs cannot go to it"
            yield Misfit("t2v", t2v.path, "unfit", what, "Leave loras_on_t2v out of the style.")

    def _video(self, t2i: Identity | None, t2v: Identity, on_t2i: bool) -> Iterator[Misfit]:
        path = t2v.path
        if self._sources.t2v_loras and not on_t2i:
            what = f"{path} is no motion module, and only on those go LoRAs of their own"
            yield Misfit("t2v_loras", path, "unfit", what, "Leave t2v_loras out of the base.")
        families = {t2v.family, t2i.family if t2i else Family.UNKNOWN}
        if on_t2i and t2i and Family.UNKNOWN not in families and len(families) > 1:
            what = f"{path} is a motion module for {t2v.family}, but {t2i.path} is of {t2i.family}"
            yield Misfit("t2v", path, "unfit", what, f"Choose a text-to-image model of {t2v.family}.")
            return
        text = self._text_of(path)
        reads, gives = (t2i.width if t2i else None) if on_t2i else t2v.width, self._gives(text)
        if reads and gives and reads != gives:
            what = f"{path} reads text embeddings of width {reads}, but the text encoder of {text} gives {gives}"
            step = "Name a folder or checkpoint with the text encoder that it was trained with as t2v_text of the base."
            yield Misfit("t2v_text", path, "unfit", what, step)
        yield from self._scaled(path)

    def _text_of(self, t2v: Path) -> Path:
        """Whose text encoder the T2V reads, as the loader chooses it."""
        if self._sources.t2v_text is not None:
            return Path(self._sources.t2v_text)
        beside = t2v if t2v.is_dir() else t2v.parent
        return beside if (beside / "text_encoder").is_dir() else self._sources.t2i_path

    def _gives(self, path: Path) -> int | None:
        """The width of what a text encoder gives."""
        if path.is_dir():
            width = self._known.config(path / "text_encoder").get("hidden_size")
            return width if isinstance(width, int) else None
        identity = self._known.identity(path)
        return identity.width if identity else None

    def _scaled(self, t2v: Path) -> Iterator[Misfit]:
        """The T2V's folder may say that its latents are scaled in another way."""
        if not (t2v / "vae" / "config.json").is_file():
            return
        t2i, vae = self._sources.t2i_path, self._sources.vae
        ours = Path(vae) if vae else t2i / "vae"
        scales = [self._known.config(each).get("scaling_factor", 0.18215) for each in (t2v / "vae", ours)]
        if scales[0] != scales[1]:
            what = f"the latents of {t2v} are scaled by {scales[0]}, and those of {vae or t2i} by {scales[1]}"
            yield Misfit("t2v", t2v, "unfit", what, "Choose a text-to-video model that was made for this VAE.")

    def _has_motion(self, t2v: Identity) -> bool:
        """Whether it is made of motion modules and the T2I's layers."""
        return t2v.kind is not Kind.T2V or self._network(t2v.path) == "UNetMotionModel"

    def _network(self, path: Path) -> object:
        """The class that a T2V's config names."""
        return self._known.config(path / "unet" if (path / "unet").is_dir() else path).get("_class_name")


def _differ(one: Identity, other: Identity) -> tuple[str, str] | None:
    """What two were made for, if that is known and differs."""
    if Family.UNKNOWN not in (one.family, other.family):
        return None if one.family is other.family else (one.family, other.family)
    if one.width and other.width and one.width != other.width:
        return f"text embeddings of width {one.width}", f"width {other.width}"
    return None


def _a(noun: str) -> str:
    """The noun with its article."""
    return noun if noun == Kind.OTHER else f"an {noun}" if noun.startswith("e") else f"a {noun}"


def _broken(field: str, path: Path, said: str) -> Misfit:
    """From a ModelError's sentence, whose end says what to do."""
    what, _, step = said.rstrip(".").partition("; ")
    step = step or "download or copy it again"
    return Misfit(field, path, "broken", what, f"{step[:1].upper()}{step[1:]}.")


def _whole(path: Path) -> None:
    read_header(path, torch=False)


def _config(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _stamp(path: Path) -> Stamp:
    """Of a file; or of those in a folder and in the folders therein."""
    if not path.is_dir():
        files = [path]
    else:
        inner = sorted(path.iterdir())
        files = [*inner, *(file for each in inner if each.is_dir() for file in sorted(each.iterdir()))]
    return tuple(_of(file) for file in files)


def _of(file: Path) -> tuple[str, int, int, int]:
    try:
        status = file.stat()
    except OSError:  # a link that leads nowhere
        return str(file), 0, 0, 0
    return str(file), status.st_size, status.st_mtime_ns, status.st_ino
