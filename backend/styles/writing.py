"""Writes the files of bases and styles into the user's settings folder, each in one step."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shared_protocol.machine import files

from . import mistakes
from .files import BASES, STYLES, Base, LoraEntry, StyleFile, Unusable, is_name, own_bases, own_styles, path_in, read
from .toml_text import toml_text

K = TypeVar("K", Base, StyleFile)
NAME_LENGTH = 64
ENDING, PICTURE = ".toml", ".png"


def name_from(title: str, taken: Callable[[str], bool] = lambda name: False) -> str:
    """A name for a file from a title: "Café, v2" → cafe_v2; with a number behind it if it is taken."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii").lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[: NAME_LENGTH - 4].rstrip("_") or "style"
    number, free = 1, name
    while taken(free):
        number += 1
        free = f"{name}_{number}"
    return free


def exists(name: str) -> bool:
    """Whether there is a style or a base of this name, the user's or ours."""
    folders = (own_styles(), own_bases(), STYLES, BASES)
    return any((folder / f"{name}{ENDING}").exists() for folder in folders)


def checked(content: Mapping[str, Any], kind: type[K]) -> K:
    """The settings as the file's type. Raises Unusable with what is wrong."""
    try:
        return msgspec.convert(dict(content), kind)
    except msgspec.ValidationError as error:
        raise Unusable(mistakes.of_types(error, kind)) from error


def write(name: str, content: Base | StyleFile, *, replace: bool = False) -> Path:
    """Write a base or a style of this name. Its file.

    Raises Unusable if it cannot be called so or be written, FileExistsError if there is one and it shall not be
    replaced, and OSError.
    """
    if not is_name(name):
        raise Unusable(f'"{name}" is no name: a name has only the letters a–z, digits and _, at most {NAME_LENGTH}')
    folder = own_bases() if isinstance(content, Base) else own_styles()
    try:
        text = toml_text(settings_of(content))
        data = text.encode("utf-8")
    except ValueError as error:
        raise Unusable(str(error)) from error
    files.make_folder(folder)
    file = folder / f"{name}{ENDING}"
    files.write(file, data, replace=replace)
    return file


def settings_of(content: msgspec.Struct) -> dict[str, Any]:
    """What differs from the defaults, in the order of the guide's tables."""
    told: dict[str, Any] = {}
    for field in msgspec.structs.fields(content):
        value = getattr(content, field.name)
        if field.required or value != field.default:
            told[field.name] = _plain(value)
    return {key: value for key, value in told.items() if value not in ({}, [])}


def _plain(value: object) -> Any:
    if isinstance(value, LoraEntry):
        return settings_of(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return msgspec.to_builtins(value)


def find(name: str) -> tuple[Path, StyleFile]:
    """A style's file and what stands in it, the user's own first. Raises Unusable."""
    for folder in (own_styles(), STYLES):
        file = folder / f"{name}{ENDING}"
        if is_name(name) and file.is_file():
            return file, read(file, StyleFile)
    raise Unusable(f'there is no style "{name}"')


def moved(style: StyleFile, folder: Path) -> StyleFile:
    """The style as a file of another folder says it: what lay beside it in `folder` is named by its whole path."""
    loras = [
        msgspec.structs.replace(lora, path=os.fspath(path_in(folder, lora.path))) if lora.path else lora
        for lora in style.loras
    ]
    embeddings = [os.fspath(path_in(folder, path)) for path in style.embeddings]
    return msgspec.structs.replace(style, loras=tuple(loras), embeddings=tuple(embeddings))


def remove(name: str) -> list[Path]:
    """Delete a style of the user's own, and its picture. What was deleted. Raises Unusable and OSError."""
    file = own_styles() / f"{name}{ENDING}"
    if not is_name(name) or not file.is_file():
        ours = (STYLES / f"{name}{ENDING}").is_file()
        why = "comes with the product and stays" if ours else "is not there"
        raise Unusable(f'the style "{name}" {why}')
    gone = [each for each in (file, file.with_suffix(PICTURE)) if each.is_file()]
    for each in gone:
        files.patiently(each.unlink)
    return gone
