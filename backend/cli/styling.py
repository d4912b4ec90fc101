"""`styles`: see, make, copy, change and remove styles, and have their pictures made."""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from elevator.checkpoints import Identity, identify
from elevator.checkpoints.fitting import Misfit, misfits
from elevator.cli.values import weighted
from elevator.errors import ModelError
from shared_protocol.machine import files
from shared_protocol.messages import Style

from ..client.api import Wish
from ..client.failures import cannot_write
from ..client.launch import START_GRACE
from ..failures import EXIT_DONE
from ..styles import making, writing
from ..styles.catalogue import read_catalogue
from ..styles.files import STYLES, LoraEntry, StyleFile, Unusable, own_styles
from ..styles.recipes import THUMBNAIL_BYTES, Recipe
from ..styles.toml_text import toml_text
from .failures import CommandFailure
from .following import Watcher, cancelling, connected
from .output import JsonLine, Output, typed, warn
from .serving import add_backend_options
from .terminal import ProgressLine

if TYPE_CHECKING:
    from elevator.arguments import ArgumentParser, Commands

PICTURE_SIDE = 256
"""Pixels of a style's picture, and of the clip that it is taken from where the style can make one so small."""
PICTURE_FRAMES = 8


class StyleLine(JsonLine, frozen=True, kw_only=True, tag=True):
    """A style, as its file says it."""

    name: str
    file: str
    own: bool
    """Whether it is in the user's settings folder."""
    settings: dict[str, Any]
    """As docs/STYLES.md lists them; those of the defaults are left out."""
    problem: str = ""
    """Why it cannot be used; empty: it can."""


class Removed(JsonLine, frozen=True, kw_only=True, tag=True):
    """Files that were deleted."""

    files: tuple[str, ...]


def add_styles(commands: Commands) -> None:
    """Add it to the command line."""
    command = commands.add_parser("styles", help="see, make, copy, change and remove styles, and have pictures made")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    _action(actions, "list", "say which styles there are, and what is wrong with others", run_list)
    _action(actions, "show", "say what a style's file says", run_show).add_argument("name", metavar="NAME")

    action = _action(actions, "new", "write a style", run_new)
    action.add_argument("name", metavar="NAME", help="or title, from which the name is made")
    action.add_argument("--base", default="embedded", metavar="NAME", help="of its base (default: embedded)")
    _add_settings(action)
    _add_overwrite(action)

    action = _action(actions, "copy", "write a style like another one", run_copy)
    action.add_argument("name", metavar="NAME")
    action.add_argument("new", metavar="NEW", help="or title, from which the name is made")
    _add_overwrite(action)

    action = _action(actions, "edit", "change a style; one of ours is copied first, and the copy is changed", run_edit)
    action.add_argument("name", metavar="NAME")
    action.add_argument("--base", metavar="NAME", help="of its base")
    _add_settings(action)
    action.add_argument("--no-lora", action="append", default=[], metavar="NAME", help="without this LoRA")
    action.add_argument("--no-embedding", action="append", default=[], metavar="NAME", help="without this embedding")

    action = _action(actions, "remove", "delete a style of your own and its picture", run_remove)
    action.add_argument("name", metavar="NAME")

    action = _action(
        actions,
        "thumbnail",
        "have the backend make a small clip, and keep a frame as picture",
        run_thumbnail,
    )
    action.add_argument("name", metavar="NAME")
    action.add_argument("--overwrite", action="store_true", help="replace a picture that is there")
    action.add_argument("--quiet", action="store_true", help="show no progress")
    add_backend_options(action, START_GRACE)
    action.set_defaults(profile=None)


def _action(actions: Commands, name: str, about: str, run: Callable[[argparse.Namespace], int]) -> ArgumentParser:
    action = actions.add_parser(name, help=about, description=f"{about[:1].upper()}{about[1:]}.")
    action.add_argument("--json", action="store_true", help="print one JSON object a line (docs/COMMANDS.md)")
    action.set_defaults(run=run)
    return action


def _add_settings(action: ArgumentParser) -> None:
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
    action.add_argument("--no-words", action="store_true", help="leave LoRAs' trigger words out of the prompt")


def _add_overwrite(action: ArgumentParser) -> None:
    action.add_argument("--overwrite", action="store_true", help="replace a style of your own of this name")


def run_list(options: argparse.Namespace) -> int:
    """Say which styles there are."""
    output, catalogue = Output(json=options.json), read_catalogue()
    rows = []
    for name, recipe in catalogue.recipes.items():
        line = _line(name)
        output.line(line)
        rows.append((name, recipe.style.title, recipe.style.base, recipe.style.preset, "own" if line.own else ""))
    output.table(("name", "title", "base", "preset", ""), rows)
    for name, why in catalogue.skipped.items():
        output.line(StyleLine(name=name, file=str(own_styles() / f"{name}.toml"), own=True, settings={}, problem=why))
    for note in catalogue.notes:
        warn(note)
    return EXIT_DONE


def run_show(options: argparse.Namespace) -> int:
    """Say what a style's file says. Raises BackendError."""
    output = Output(json=options.json)
    file, style = _found(options.name)
    output.line(_line(options.name))
    output.say(f"# {file}")
    output.say(toml_text(writing.settings_of(style)).rstrip())
    return EXIT_DONE


def run_new(options: argparse.Namespace) -> int:
    """Write a style. Raises BackendError."""
    name, title = _named(options.name, replace=options.overwrite)
    style = StyleFile(title=title, base=options.base, preset="published", example_prompt=making.EXAMPLE)
    return _write(options, name, _changed(style, options), replace=options.overwrite)


def run_copy(options: argparse.Namespace) -> int:
    """Write a style like another one. Raises BackendError."""
    file, style = _found(options.name)
    name, title = _named(options.new, replace=options.overwrite)
    copied = msgspec.structs.replace(writing.moved(style, file.parent), title=title)
    return _write(options, name, copied, replace=options.overwrite)


def run_edit(options: argparse.Namespace) -> int:
    """Change a style. Raises BackendError."""
    file, style = _found(options.name)
    if file.parent == STYLES:
        style = writing.moved(style, file.parent)
    if options.base is not None:
        style = msgspec.structs.replace(style, base=options.base)
    for wanted in options.no_lora:
        kept = tuple(lora for lora in style.loras if wanted not in _names(lora.name or lora.path))
        style = _less(style, "loras", kept, f'the style has no LoRA "{wanted}"')
    for wanted in options.no_embedding:
        left = tuple(path for path in style.embeddings if wanted not in _names(path))
        style = _less(style, "embeddings", left, f'the style has no embedding "{wanted}"')
    return _write(options, options.name, _changed(style, options), replace=True)


def run_remove(options: argparse.Namespace) -> int:
    """Delete a style of the user's own. Raises BackendError."""
    output = Output(json=options.json)
    try:
        gone = writing.remove(options.name)
    except Unusable as error:
        raise CommandFailure("style_unwritten", detail=error, step=_see_list()) from error
    except OSError as error:
        raise cannot_write(own_styles(), error) from error
    output.line(Removed(files=tuple(map(str, gone))))
    output.say(f"Deleted: {', '.join(map(str, gone))}. Its base and models stay.")
    return EXIT_DONE


def run_thumbnail(options: argparse.Namespace) -> int:
    """Have the style's picture made. Raises BackendError."""
    output = Output(json=options.json)
    file, content = _found(options.name)
    picture = file.with_suffix(writing.PICTURE)
    if file.parent == STYLES:
        step = f'Copy it first, with "{typed("styles", "copy", options.name, "NEW")}".'
        raise CommandFailure("style_unwritten", detail=f'the style "{options.name}" is not your own', step=step)
    if picture.exists() and not options.overwrite:
        step = "Give --overwrite to replace it."
        raise CommandFailure("style_unwritten", detail=f"there is a picture already: {picture}", step=step)
    with connected(options, start=True) as backend, ProgressLine(quiet=options.quiet or options.json) as line:
        job = backend.submit(_sample(options.name, content, backend.styles.get(options.name)))
        with cancelling(backend, [job]):
            Watcher(line, output, quiet=True).follow(job)
        with tempfile.TemporaryDirectory() as folder:
            frames = job.fetch(Path(folder) / "clip")
            data = _small(frames[len(frames) // 2])
    try:
        files.write(picture, data, replace=options.overwrite)
    except OSError as error:
        raise cannot_write(picture.parent, error) from error
    output.line(_line(options.name))
    output.say(f"The picture is {picture}. A backend that runs shows it from now on.")
    return EXIT_DONE


def _sample(name: str, content: StyleFile, style: Style | None) -> Wish:
    """A clip as small and quick as the style can make it."""
    if style is None:
        return Wish(content.example_prompt, style=name)
    side = max(style.min_size, min(PICTURE_SIDE, style.max_size) // style.size_step * style.size_step)
    quickest = style.presets[style.calls.index(min(style.calls))] if style.calls else ""
    frames = min(PICTURE_FRAMES, style.frames)
    return Wish(content.example_prompt, style=name, width=side, height=side, frames=frames, preset=quickest, seed=1)


def _small(frame: Path) -> bytes:
    """A frame as a PNG that is no larger than a style's picture may be."""
    from PIL import Image

    with Image.open(frame) as opened:
        image = opened.convert("RGB")
    side = PICTURE_SIDE
    while True:
        image.thumbnail((side, side))
        image.save(data := io.BytesIO(), "PNG", optimize=True)
        if len(data.getvalue()) <= THUMBNAIL_BYTES:
            return data.getvalue()
        side //= 2


def _found(name: str) -> tuple[Path, StyleFile]:
    try:
        return writing.find(name)
    except Unusable as error:
        raise CommandFailure("style_unwritten", detail=error, step=_see_list()) from error


def _see_list() -> str:
    return f'See "{typed("styles", "list")}".'


def _named(text: str, *, replace: bool) -> tuple[str, str]:
    """The name and the title that a word of the user's stands for. Raises BackendError if the name is taken."""
    name = writing.name_from(text)
    title = text if name != text else text.replace("_", " ").title()
    file = own_styles() / f"{name}.toml"
    if (STYLES / f"{name}.toml").exists() or (file.exists() and not replace):
        raise CommandFailure("style_exists", name=name, file=file if file.exists() else "it comes with the product")
    return name, title[:64]


def _less(style: StyleFile, field: str, kept: Sequence[object], otherwise: str) -> StyleFile:
    """The style with fewer LoRAs or embeddings. Raises BackendError if there are as many as before."""
    if len(kept) == len(getattr(style, field)):
        raise CommandFailure("style_unwritten", detail=otherwise, step=_see_list().replace("list", "show NAME"))
    return msgspec.structs.replace(style, **{field: kept})


def _names(path: str) -> set[str]:
    """What a file may be called: its path, its name, its name without its ending."""
    return {path, Path(path).name, Path(path).stem}


def _changed(style: StyleFile, options: argparse.Namespace) -> StyleFile:
    """The style with what the options say. Raises BackendError."""
    told = ("title", "description", "preset", "prompt", "negative_prompt", "example_prompt")
    given = {field: getattr(options, field) for field in told if getattr(options, field) is not None}
    style = msgspec.structs.replace(style, **given)
    entries = [_entry(text, style) for text in options.lora]
    paths = {lora.path: lora for lora in style.loras} | {entry.path: entry for entry, _ in entries}
    prompt = style.prompt
    if not options.no_words:
        prompt = making.with_words(prompt, [word for _, lora in entries for word in making.words_of(lora)])
    if prompt != style.prompt:
        warn(f"The prompt has the LoRA's trigger words now: {prompt} (--no-words leaves them out)")
    embeddings = dict.fromkeys((*style.embeddings, *(os.path.abspath(path) for path in options.embedding)))
    return msgspec.structs.replace(style, loras=tuple(paths.values()), prompt=prompt, embeddings=tuple(embeddings))


def _entry(text: str, style: StyleFile) -> tuple[LoraEntry, Identity]:
    """A LoRA as a style names it, and what its file is. Raises BackendError."""
    name, weight = weighted(text)
    folders = (Path(), *_lora_folders(style))
    path = next((folder / name for folder in folders if (folder / name).exists()), None)
    if path is None:
        raise CommandFailure("style_unwritten", detail=f'there is no LoRA "{name}"', step="Give the path of its file.")
    try:
        found = identify(path.absolute())
        return msgspec.convert({"path": str(path.absolute()), "weight": weight}, LoraEntry), found
    except ModelError as error:
        raise CommandFailure("style_unwritten", detail=str(error).rstrip(".")) from error
    except msgspec.ValidationError as error:
        raise CommandFailure("style_unwritten", detail=f"the weight {weight:g} is not between -4 and 4") from error


def _lora_folders(style: StyleFile) -> tuple[Path, ...]:
    try:
        bare = msgspec.structs.replace(style, loras=(), embeddings=(), prompt="{prompt}", plan={})
        return making.checked("style", bare).lora_folders
    except Unusable:
        return ()  # that is said when the style is checked


def _write(options: argparse.Namespace, name: str, style: StyleFile, *, replace: bool) -> int:
    """Check a style, write it and say so. Raises BackendError."""
    output = Output(json=options.json)
    new = {os.path.abspath(weighted(text)[0]) for text in getattr(options, "lora", ())}
    new |= {os.path.abspath(path) for path in getattr(options, "embedding", ())}
    try:
        style = writing.checked(writing.settings_of(style), StyleFile)
        recipe = making.checked(name, style)
        _refuse(_wrong(recipe), new)
        file = writing.write(name, style, replace=replace)
    except Unusable as error:
        raise CommandFailure("style_unwritten", detail=error) from error
    except FileExistsError as error:
        raise CommandFailure("style_exists", name=name, file=own_styles() / f"{name}.toml") from error
    except OSError as error:
        raise cannot_write(own_styles(), error) from error
    output.line(_line(name))
    output.say(f"The style is {file}.")
    output.say(f"Make a clip in it: {typed('generate', style.example_prompt, '--style', name)}")
    return EXIT_DONE


def _wrong(recipe: Recipe) -> tuple[Misfit, ...]:
    return misfits(recipe.sources)


def _refuse(wrong: Iterable[Misfit], new: Iterable[str]) -> None:
    """Raise BackendError if a file that was just named does not fit; say what else is wrong."""
    for misfit in wrong:
        if str(misfit.path) in set(new):
            raise CommandFailure("style_unwritten", detail=misfit.what, step=misfit.step)
        warn(f"{misfit.what}. {misfit.step}")


def _line(name: str) -> StyleLine:
    file, style = writing.find(name)
    return StyleLine(name=name, file=str(file), own=file.parent != STYLES, settings=writing.settings_of(style))
