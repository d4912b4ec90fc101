"""What options say of a style's file, and the style that comes of it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from elevator.checkpoints import identify
from elevator.checkpoints.fitting import misfits
from elevator.cli.shared import add
from elevator.cli.values import nested, weighted
from elevator.errors import ModelError
from elevator.presets import default_of

from ..styles import making, writing
from ..styles.files import DistilledName, LoraEntry, StyleFile, Unusable, own_styles, path_in
from ..styles.loras import by_name, own_name
from ..styles.recipes import Recipe
from .failures import CommandFailure
from .output import warn
from .style_lines import see_list

TOLD = ("title", "description", "base", "preset", "prompt", "negative_prompt", "example_prompt", "distilled")
"""Keys that have options of their own."""


def add_settings(action: argparse.ArgumentParser, base: str | None = None) -> None:
    """Options for what stands in a style's file. base: without a word about it."""
    default = f" (default: {base})" if base else ""
    action.add_argument("--base", default=base, metavar="NAME", help=f"of its base{default}")
    action.add_argument("--title", metavar="TEXT", help="name for people")
    action.add_argument("--description", metavar="TEXT", help="a sentence for people")
    action.add_argument("--preset", metavar="NAME", help="one of the base's presets")
    action.add_argument("--prompt", metavar="TEXT", help="the whole prompt, with {prompt} where the user's words go")
    action.add_argument("--negative", dest="negative_prompt", metavar="TEXT", help="what should not be seen")
    action.add_argument("--example", dest="example_prompt", metavar="TEXT", help="a prompt that the models know well")
    action.add_argument(
        "--lora", action="append", default=[], metavar="LORA[:WEIGHT]", help="a file, or a name in a folder of LoRAs"
    )
    action.add_argument("--embedding", action="append", default=[], metavar="FILE", help="textual inversion")
    action.add_argument(
        "--distilled",
        choices=get_args(DistilledName),
        help="how one of its LoRAs distils the text-to-image model to a few steps; then its preset is turbo",
    )
    add(action, "--set", default=[])
    action.add_argument("--no-words", action="store_true", help="leave LoRAs' trigger words out of the prompt")
    action.add_argument(
        "--content",
        type=_content,
        default={},
        metavar="JSON",
        help="any of the file's settings, as show --json tells them; what it does not name stays",
    )


def add_removals(action: argparse.ArgumentParser) -> None:
    """Options that take away what a style has."""
    action.add_argument("--no-lora", action="append", default=[], metavar="NAME", help="without this LoRA")
    action.add_argument("--lora-off", action="append", default=[], metavar="NAME", help="keep this LoRA, switched off")
    action.add_argument("--lora-on", action="append", default=[], metavar="NAME", help="switch this LoRA on")
    action.add_argument("--no-embedding", action="append", default=[], metavar="NAME", help="without this embedding")
    action.add_argument("--no-plan", action="store_true", help="without settings of its own beside the preset's")


def _content(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError('it is no JSON object, such as {"title": "Fog"}')
    return content


def reduced(style: StyleFile, options: argparse.Namespace) -> StyleFile:
    """The style without what the options take away. Raises BackendError."""
    for wanted in options.no_lora:
        kept = tuple(lora for lora in style.loras if wanted not in _names(lora.name or lora.path))
        style = _other(style, "loras", kept, f'the style has no LoRA "{wanted}"')
    for names, on in ((options.lora_off, False), (options.lora_on, True)):
        for wanted in names:
            found = [wanted in _names(lora.name or lora.path) for lora in style.loras]
            if not any(found):
                raise CommandFailure("style_unwritten", detail=f'the style has no LoRA "{wanted}"', step=see_list())
            loras = (
                msgspec.structs.replace(lora, on=on) if is_it else lora
                for lora, is_it in zip(style.loras, found, strict=True)
            )
            style = msgspec.structs.replace(style, loras=tuple(loras))
    for wanted in options.no_embedding:
        left = tuple(path for path in style.embeddings if wanted not in _names(path))
        style = _other(style, "embeddings", left, f'the style has no embedding "{wanted}"')
    return msgspec.structs.replace(style, plan={}) if options.no_plan else style


def changed(style: StyleFile, options: argparse.Namespace) -> StyleFile:
    """The style with what the options say. Raises BackendError."""
    before = style
    try:
        if options.content:
            content = {**writing.settings_of(style), **options.content}
            if style.plan and isinstance(content["plan"], dict):
                content["plan"] = _merged(style.plan, content["plan"])
            style = writing.checked(content, StyleFile)
        given = {field: getattr(options, field) for field in TOLD if getattr(options, field) is not None}
        style = msgspec.structs.replace(style, **given)
        if "distilled" in given and "preset" not in given:
            presets = making.presets_on(style.base, style.distilled)
            kept = style.preset if style.preset in presets else default_of(presets)
            style = msgspec.structs.replace(style, preset=kept)
        if options.set:
            style = msgspec.structs.replace(style, plan=_merged(style.plan, nested(options.set)))
        finder = _Finder(style, before)
        loras = {_key(lora): lora for lora in map(finder.placed, style.loras)}
        for text in options.lora:
            name, weight = weighted(text)
            lora = finder.found(name, weight)
            loras[_key(lora)] = lora
    except Unusable as error:
        raise CommandFailure("style_unwritten", detail=error) from error
    except argparse.ArgumentTypeError as error:
        raise CommandFailure("style_unwritten", detail=error) from error
    embeddings = dict.fromkeys((*style.embeddings, *(os.path.abspath(path) for path in options.embedding)))
    style = msgspec.structs.replace(style, loras=tuple(loras.values()), embeddings=tuple(embeddings))
    had = {_key(lora) for lora in before.loras}
    new = [lora for lora in style.loras if lora.on and (_key(lora) not in had or options.lora)]
    return style if options.no_words else _with_words(style, finder, new)


def refuse(recipe: Recipe, before: StyleFile | None) -> None:
    """Raise BackendError if a file that the style did not name before does not fit; say what else is wrong."""
    had = set[str]()
    if before is not None:
        had |= {making.lora_of(lora, recipe.lora_folders).path for lora in before.loras}
        had |= {os.fspath(path_in(own_styles(), path)) for path in before.embeddings}
    for misfit in misfits(recipe.sources):
        own = {lora.path for lora in recipe.sources.loras} | set(recipe.sources.embeddings)
        if str(misfit.path) in own - had:
            raise CommandFailure("style_unwritten", detail=misfit.what, step=misfit.step)
        warn(f"{misfit.what}. {misfit.step}")


class _Finder:
    """Finds LoRAs as requests name them, and as files do."""

    def __init__(self, style: StyleFile, before: StyleFile) -> None:
        self._before = before.loras
        recipe = _recipe(style.base) or _recipe(before.base)
        self.folders = recipe.lora_folders if recipe else ()
        on_first = sorted(before.loras, key=lambda lora: not lora.on)
        paths = [making.lora_of(lora, self.folders) for lora in on_first] if recipe else []
        self._own = dict(zip(by_name(paths, self.folders), on_first, strict=True)) if recipe else {}

    def placed(self, lora: LoraEntry) -> LoraEntry:
        """A LoRA that is named as a client names it, as the style's file shall name it. Raises Unusable."""
        if not lora.name or lora in self._before:
            return lora
        if (own := self._own.get(lora.name)) is not None:
            return msgspec.structs.replace(own, weight=lora.weight, on=lora.on)
        folder = next((folder for folder in self.folders if (folder / lora.name).exists()), None)
        if folder is None:
            raise Unusable(f'there is no LoRA "{lora.name}"')
        if folder == self.folders[0]:  # where the style's file looks, wherever that lies on another day
            return lora
        return msgspec.structs.replace(lora, name="", path=str(folder / lora.name))

    def found(self, name: str, weight: float) -> LoraEntry:
        """A LoRA by its file's path, or its name in a folder of LoRAs. Raises BackendError and Unusable."""
        entry = {"path": os.path.abspath(name)} if os.path.exists(name) else {"name": name}
        try:
            return self.placed(msgspec.convert({**entry, "weight": weight}, LoraEntry))
        except msgspec.ValidationError as error:
            detail = f"the weight {weight:g} is not between -4 and 4"
            raise CommandFailure("style_unwritten", detail=detail) from error
        except Unusable as error:
            raise CommandFailure("style_unwritten", detail=error, step="Give the path of its file.") from error


def _recipe(base: str) -> Recipe | None:
    """What a bare style of a base would be; None if there is no such base: that is said when the style is checked."""
    try:
        presets = making.presets_on(base)
        bare = StyleFile(title=base, base=base, preset=presets[0], example_prompt=making.EXAMPLE)
        return making.checked("style", bare)
    except Unusable:
        return None


def _with_words(style: StyleFile, finder: _Finder, new: Iterable[LoraEntry]) -> StyleFile:
    """The style with the words of LoRAs in its prompt. Raises BackendError."""
    prompt = style.prompt
    for lora in new:
        path = Path(making.lora_of(lora, finder.folders).path)
        try:
            prompt = making.with_words(prompt, making.words_of(identify(path)))
        except ModelError as error:
            raise CommandFailure("style_unwritten", detail=str(error).rstrip(".")) from error
    if prompt != style.prompt:
        warn(f"The prompt has the LoRA's trigger words now: {prompt} (--no-words leaves them out)")
    return msgspec.structs.replace(style, prompt=prompt)


def _merged(table: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = dict(table)
    for key, value in more.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _key(lora: LoraEntry) -> str:
    """The same for two entries of one LoRA."""
    return lora.name or os.path.normpath(path_in(own_styles(), lora.path))


def _other(style: StyleFile, field: str, kept: Sequence[object], otherwise: str) -> StyleFile:
    """The style with fewer LoRAs or embeddings. Raises BackendError if there are as many as before."""
    if len(kept) == len(getattr(style, field)):
        raise CommandFailure("style_unwritten", detail=otherwise, step=see_list().replace("list", "show NAME"))
    return msgspec.structs.replace(style, **{field: kept})


def _names(path: str) -> Collection[str]:
    """What a file may be called: its path, its name, its name without its ending, as styles list it."""
    return {path, Path(path).name, Path(path).stem, own_name(Path(path))}
