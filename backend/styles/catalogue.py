"""Styles and the models under them, read from TOML files. Imports no torch.

A base (`bases/NAME.toml`) names two models that belong together, what they can do, and presets for the sampler.
A style (`NAME.toml`) is a base with LoRAs, embeddings, words, and a preset. Users' own lie in
`config_folder()/bases` and `config_folder()/styles`. A file that cannot be used is skipped with a sentence; the others
still work. docs/STYLES.md tells users all keys.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import msgspec

from shared_protocol.messages import Style
from shared_protocol.texts import sentences

from .files import BASES, STYLES, Unusable, is_name, own_styles
from .loras import Listed, fitting, list_folder
from .recipes import BaseRead, Recipe, read_base, read_recipe, read_thumbnail, with_thumbnail
from .remembered import Remembered

STYLES_BYTES = 384 << 10
"""What the styles, without their LoRAs, may take of the message that lists them."""
LISTED_BYTES = 384 << 10
"""What the LoRAs of all styles may take of it."""
ENDING, PICTURE = ".toml", ".png"
REST = 20
"""After a look at all files, none is looked at for so many times as long as that took, but for the folders and the
files of the style that is asked for."""


@dataclass(frozen=True)
class Catalogue:
    """All styles that can be used, and sentences about those that cannot."""

    recipes: Mapping[str, Recipe]
    notes: tuple[str, ...]
    room: int = sys.maxsize
    """How many of them have room in the message that lists them."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why files of these names were skipped, where no other file of the name can be used: a clause each."""

    @property
    def thumbnails(self) -> dict[str, bytes]:
        """The styles' pictures by their hashes."""
        return {recipe.style.thumbnail: recipe.thumbnail for recipe in self.recipes.values() if recipe.thumbnail}

    @property
    def styles(self) -> tuple[Style, ...]:
        """As clients see them."""
        return tuple(recipe.style for recipe in self.recipes.values())[: self.room]


def read_catalogue(bases: Path = BASES, styles: Path = STYLES) -> Catalogue:
    """Read all files. A user's own replaces one of ours of the same name. Raises nothing about their content."""
    return Library(bases, styles).catalogue


class Library:
    """The files of styles and bases, with their pictures and folders of LoRAs. What has changed on the disk since the
    last look is read again, and nothing else."""

    def __init__(self, bases: Path = BASES, styles: Path = STYLES) -> None:
        """Read all of it."""
        self._bases, self._styles = bases, styles
        self._own = own_styles()
        self._disk = Remembered()
        self._files: frozenset[Path] = frozenset()
        self._rested = 0.0
        self.catalogue: Catalogue
        """As it was at the last look."""
        self._look_at_all()

    @property
    def reads(self) -> int:
        """How often anything was read: files, and lists of what is in a folder."""
        return self._disk.reads

    def look(self, style: str = "") -> bool:
        """Read again what has changed. Whether `catalogue` is another one now.

        style: the one that is asked for. Its files and all folders are looked at in any case; the other files are
        left out where there are so many that every request would be slow.
        """
        self._disk.begin()
        if time.monotonic() >= self._rested or not self._stands(style):
            return self._look_at_all()
        return False

    def _stands(self, style: str) -> bool:
        """Whether the folders are as they were, and so is all that belongs to this style."""
        asked = [folder / f"{style}{ENDING}" for folder in (self._styles, self._own)] if is_name(style) else []
        folders = all(self._disk.stands(("folder", folder)) for folder in (self._styles, self._own))
        return folders and all(self._disk.stands(path) for path in asked if path in self._files)

    def _look_at_all(self) -> bool:
        began, before = time.monotonic(), self._disk.reads
        self._disk.begin()
        files = [file for folder in (self._styles, self._own) for file in self._files_in(folder)]
        paths = frozenset(file for file, _ in files)
        for gone in self._files - paths:
            self._disk.forget(gone)
            self._disk.forget(gone.with_suffix(PICTURE))
        recipes: dict[str, Recipe] = {}
        notes: list[str] = []
        skipped: dict[str, str] = {}
        for path, picture in files:
            try:
                recipe = self._disk.get(path, partial(self._read, path))
            except Unusable as error:
                notes.append(f"The style file {path} is skipped: {error}.")
                skipped[path.stem] = str(error)
                continue
            if picture is not None:
                try:
                    recipe = with_thumbnail(recipe, self._disk.get(picture, partial(self._read_picture, picture)))
                except Unusable as error:
                    notes.append(f"A style's picture is not shown: {error}.")
            recipes[path.stem] = recipe
        changed = self._disk.reads != before or self._files != paths
        if changed:
            self._files = paths
            self.catalogue = _assembled(recipes, notes, skipped)
        now = time.monotonic()
        self._rested = now + REST * (now - began)
        return changed

    def _read(self, path: Path) -> Recipe:
        """Raises Unusable."""
        self._disk.look_at(path)
        try:
            return read_recipe(path, self._base, self._listed)
        except (OSError, ValueError) as error:  # what it names cannot be a path here, or not be looked at
            raise Unusable(str(error).rstrip(".")) from error

    def _base(self, name: str) -> BaseRead:
        """Raises Unusable."""
        return self._disk.get(("base", name), lambda: read_base(self._bases, name, self._disk.look_at))

    def _listed(self, folder: Path) -> Listed:
        return self._disk.get(("LoRAs", folder), lambda: list_folder(folder, self._disk.look_at, self._disk.missed))

    def _read_picture(self, path: Path) -> bytes:
        """Raises Unusable."""
        self._disk.look_at(path)
        return read_thumbnail(path)

    def _files_in(self, folder: Path) -> tuple[tuple[Path, Path | None], ...]:
        """The files of styles in a folder, by name, each with its picture's if there is one."""

        def files() -> tuple[tuple[Path, Path | None], ...]:
            self._disk.look_at(folder)
            names: list[str] = []
            try:
                names = sorted(os.listdir(folder))
            except OSError as error:
                self._disk.missed(error)
            there = set(names)
            stems = [name.removesuffix(ENDING) for name in names if name.endswith(ENDING)]
            pictures = [folder / f"{stem}{PICTURE}" if f"{stem}{PICTURE}" in there else None for stem in stems]
            return tuple(zip((folder / f"{stem}{ENDING}" for stem in stems), pictures, strict=True))

        return self._disk.get(("folder", folder), files)


def _assembled(recipes: Mapping[str, Recipe], notes: list[str], skipped: Mapping[str, str]) -> Catalogue:
    # "plain" is what the panel starts with, so it comes first.
    ordered = sorted(recipes.items(), key=lambda item: (item[0] != "plain", item[1].style.title))
    bare = [msgspec.structs.replace(recipe.style, loras=()) for _, recipe in ordered]
    room = len(fitting(bare, STYLES_BYTES))
    if room < len(ordered):
        notes = [f"{len(ordered) - room} of {len(ordered)} styles have no room in the list: give their names.", *notes]
    found = {name: _short(recipe, LISTED_BYTES // max(room, 1)) for name, recipe in ordered}
    unusable = {name: why for name, why in skipped.items() if name not in found}
    return Catalogue(found, sentences(notes), room, unusable)


def _short(recipe: Recipe, room: int) -> Recipe:
    """With no more LoRAs listed than have room in `Welcome`; the others can be used by their names all the same."""
    return replace(recipe, style=msgspec.structs.replace(recipe.style, loras=fitting(recipe.style.loras, room)))
