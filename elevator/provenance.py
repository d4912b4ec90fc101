"""Which files a clip is made of, and whether they are still the same. Importing this imports no torch.

Which of the files in a model's folder are read, `elevator.checkpoints.folders` says.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .checkpoints.folders import chosen_files
from .checkpoints.lora_files import LORA_FILE, config_of, lora_files
from .checkpoints.training import yaml_beside
from .errors import ModelError, RequestError
from .pictures.clip_folder import pictures_in
from .sidecar import File, Pictures
from .sources import Sources

_CONFIGS = {
    "config.json",
    "scheduler_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
}
_TEXT = ("text_encoder", "tokenizer")
_LAVIE_CONFIG = "unet2d_config.json"


@dataclass(frozen=True)
class SourceFile:
    """A file that will be read; the fields are those of `File`."""

    source: str
    name: str
    path: Path


def source_files(sources: Sources, pictures: Pictures | None = None, frames: int = 0) -> tuple[SourceFile, ...]:
    """All files that are read for a clip of these models and so many frames of the pictures, in the order of reading.

    Raises RequestError if there are no init frames. Whether the other sources exist, `recorded` says.
    """
    return tuple(
        SourceFile(source, Path(os.path.relpath(file, root)).as_posix(), file)
        for source, root, files in (*_roots(sources), *_pictures(pictures or Pictures(), frames))
        for file in files
    )


def pictures_of(folder: Path) -> list[Path]:
    """The pictures of a folder, as `pictures_in` finds them, or one picture. Raises RequestError if there are none."""
    files = [folder] if folder.is_file() else list(pictures_in(folder))
    if not files:
        raise RequestError(f"{folder} is no folder with PNG files and no picture; choose one that holds frames.")
    return files


def recorded(file: SourceFile) -> File:
    """The file with its size and hash. Raises ModelError if it cannot be read."""
    try:
        with file.path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = file.path.stat().st_size
    except OSError as error:
        raise ModelError(f"{file.path} cannot be read ({error.strerror}); name where it lies now.") from error
    return File(source=file.source, name=file.name, path=str(file.path), size=size, sha256=digest)


def differences(now: Iterable[File], then: Iterable[File]) -> tuple[str, ...]:
    """One clause for each file that is missing, changed or new since `then`, wherever the sources lie now."""
    new, old = ({(file.source, file.name): file for file in files} for files in (now, then))
    return (
        *(f"{file.path} is missing" for key, file in old.items() if key not in new),
        *(f"{file.path} has changed" for key, file in new.items() if key in old and file.sha256 != old[key].sha256),
        *(f"{file.path} was not there" for key, file in new.items() if key not in old),
    )


def _roots(sources: Sources) -> Iterator[tuple[str, Path, Iterable[Path]]]:
    """Each source with its path and the files that are read there."""
    t2i, t2v = sources.t2i_path, sources.t2v_path
    yield "t2i", t2i, _t2i(t2i, own_vae=sources.vae is None)
    if sources.vae is not None:
        yield "vae", Path(sources.vae), _one(Path(sources.vae), ".")
    yield "t2v", t2v, _t2v(t2v, own_text=sources.t2v_text is None)
    if sources.t2v_text is not None:
        yield "t2v_text", Path(sources.t2v_text), _one(Path(sources.t2v_text), *_TEXT)
    for name, loras in (("t2v_loras", sources.t2v_loras), ("loras", sources.loras)):
        for number, lora in enumerate(loras, start=1):
            path = Path(lora.path)
            files = lora_files(path) or (path / LORA_FILE,)
            configs = [config for file in files if (config := config_of(file))]
            yield f"{name} {number}", path, [*files, *configs]
    for number, embedding in enumerate(sources.embeddings, start=1):
        yield f"embeddings {number}", Path(embedding), [Path(embedding)]


def _pictures(pictures: Pictures, frames: int) -> Iterator[tuple[str, Path, Iterable[Path]]]:
    for number, picture in enumerate(pictures.footage, start=1):
        yield f"footage {number}", Path(picture), [Path(picture)]
    if pictures.init is not None:
        yield "init", Path(pictures.init), pictures_of(Path(pictures.init))[:frames]
    if pictures.anchor is not None:
        yield "anchor", Path(pictures.anchor), [Path(pictures.anchor)]


def _t2i(path: Path, own_vae: bool) -> Iterator[Path]:
    yield from _one(path, "unet", *_TEXT, "scheduler", *(["vae"] if own_vae else []))
    if path.is_file() and (settings := yaml_beside(path)) is not None:
        yield settings


def _t2v(path: Path, own_text: bool) -> Iterator[Path]:
    """What lies beside a file counts as if it were in its folder, as `load_models` has it."""
    beside = path if path.is_dir() else path.parent
    yield from _one(path, ".", "unet", "motion_adapter")
    extras = (path / LORA_FILE, path / "vae" / "config.json") if path.is_dir() else (beside / _LAVIE_CONFIG,)
    yield from (file for file in extras if file.is_file())
    for part in (*(_TEXT if own_text else ()), "scheduler"):
        yield from _part(beside / part)


def _one(path: Path, *parts: str) -> Iterator[Path]:
    """A model that is a file, or the files of these parts of its folder."""
    if path.is_dir():
        for part in parts:
            yield from _part(path / part)
    else:
        yield path


def _part(folder: Path) -> Iterator[Path]:
    """Configs and weights of one part; none if there is no such folder."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    yield from (file for file in files if file.name in _CONFIGS)
    yield from chosen_files(folder)
