"""`styles`: see, make, copy, change and remove styles, and have their pictures made."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import msgspec

from elevator.presets import default_of

from ..client.failures import cannot_write
from ..client.launch import START_GRACE
from ..failures import EXIT_DONE
from ..styles import making, writing
from ..styles.catalogue import read_catalogue
from ..styles.files import BASES, STYLES, StyleFile, Unusable, own_bases, own_styles
from ..styles.recipes import read_base
from ..styles.toml_text import toml_text
from .actions import add_action
from .failures import CommandFailure
from .output import Output, typed, warn
from .serving import add_backend_options
from .style_changes import add_removals, add_settings, changed, reduced, refuse
from .style_lines import BaseLine, Removed, StyleLine, found, line_of, see_list
from .style_pictures import run_thumbnail

if TYPE_CHECKING:
    from elevator.arguments import ArgumentParser


def add_styles(command: ArgumentParser) -> None:
    """Its actions and their options."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_action(actions, "list", "say which styles there are, and what is wrong with others", run_list)
    add_action(actions, "bases", "say which bases there are, and their presets", run_bases)
    add_action(actions, "show", "say what a style's file says", run_show).add_argument("name", metavar="NAME")

    action = add_action(actions, "new", "write a style", run_new)
    action.add_argument("name", metavar="NAME", help="or title, from which the name is made")
    add_settings(action, base="embedded")
    _add_overwrite(action)

    action = add_action(actions, "copy", "write a style like another one", run_copy)
    action.add_argument("name", metavar="NAME")
    action.add_argument("new", metavar="NEW", help="or title, from which the name is made")
    add_settings(action)
    add_removals(action)
    _add_overwrite(action)

    action = add_action(
        actions, "edit", "change a style; one of ours is copied first, and the copy is changed", run_edit
    )
    action.add_argument("name", metavar="NAME")
    add_settings(action)
    add_removals(action)

    action = add_action(actions, "remove", "delete a style of your own and its picture", run_remove)
    action.add_argument("name", metavar="NAME")

    action = add_action(
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


def _add_overwrite(action: ArgumentParser) -> None:
    action.add_argument("--overwrite", action="store_true", help="replace a style of your own of this name")


def run_list(options: argparse.Namespace) -> int:
    """Say which styles there are."""
    output, catalogue = Output(json=options.json), read_catalogue()
    rows = []
    for name, recipe in catalogue.recipes.items():
        line = line_of(name)
        output.line(line)
        rows.append((name, recipe.style.title, recipe.style.base, recipe.style.preset, "own" if line.own else ""))
    output.table(("name", "title", "base", "preset", ""), rows)
    for name, why in catalogue.skipped.items():
        output.line(StyleLine(name=name, file=str(own_styles() / f"{name}.toml"), own=True, settings={}, problem=why))
    for note in catalogue.notes:
        warn(note)
    return EXIT_DONE


def run_bases(options: argparse.Namespace) -> int:
    """Say which bases there are."""
    output = Output(json=options.json)
    rows = []
    for name in making.base_names():
        try:
            read = read_base(BASES, name, lambda path: None)
        except Unusable as error:
            warn(f'The base "{name}" was skipped: {error}.')
            continue
        line = BaseLine(
            name=name, title=read.base.title, presets=tuple(read.presets_for(None)), own=read.start == own_bases()
        )
        output.line(line)
        rows.append((name, line.title, ", ".join(line.presets), "own" if line.own else ""))
    output.table(("name", "title", "presets", ""), rows)
    return EXIT_DONE


def run_show(options: argparse.Namespace) -> int:
    """Say what a style's file says. Raises BackendError."""
    output = Output(json=options.json)
    file, style = found(options.name)
    output.line(line_of(options.name))
    output.say(f"# {file}")
    output.say(toml_text(writing.settings_of(style)).rstrip())
    return EXIT_DONE


def run_new(options: argparse.Namespace) -> int:
    """Write a style. Raises BackendError."""
    name, title = _named(options.name, replace=options.overwrite)
    style = StyleFile(title=title, base=options.base, preset=_first_preset(options.base), example_prompt=making.EXAMPLE)
    return _write(options, name, changed(style, options), None, replace=options.overwrite)


def _first_preset(base: str) -> str:
    """The one that a new style has."""
    try:
        names = making.presets_on(base)
    except Unusable:  # that is said when the style is checked
        names = ()
    return default_of(names)


def run_copy(options: argparse.Namespace) -> int:
    """Write a style like another one. Raises BackendError."""
    file, style = found(options.name)
    name, title = _named(options.new, replace=options.overwrite)
    copied = msgspec.structs.replace(writing.moved(style, file.parent), title=title)
    return _write(options, name, changed(reduced(copied, options), options), copied, replace=options.overwrite)


def run_edit(options: argparse.Namespace) -> int:
    """Change a style. Raises BackendError."""
    file, style = found(options.name)
    if file.parent == STYLES:
        style = writing.moved(style, file.parent)
    return _write(options, options.name, changed(reduced(style, options), options), style, replace=True)


def run_remove(options: argparse.Namespace) -> int:
    """Delete a style of the user's own. Raises BackendError."""
    output = Output(json=options.json)
    try:
        gone = writing.remove(options.name)
    except Unusable as error:
        raise CommandFailure("style_unwritten", detail=error, step=see_list()) from error
    except OSError as error:
        raise cannot_write(own_styles(), error) from error
    output.line(Removed(files=tuple(map(str, gone))))
    output.say(f"Deleted: {', '.join(map(str, gone))}. Its base and models stay.")
    return EXIT_DONE


def _named(text: str, *, replace: bool) -> tuple[str, str]:
    """The name and the title that a word of the user's stands for. Raises BackendError if the name is taken."""
    name = writing.name_from(text)
    title = text if name != text else text.replace("_", " ").title()
    file = own_styles() / f"{name}.toml"
    if (STYLES / f"{name}.toml").exists() or (file.exists() and not replace):
        raise CommandFailure("style_exists", name=name, file=file if file.exists() else "it comes with the product")
    return name, title[:64]


def _write(options: argparse.Namespace, name: str, style: StyleFile, before: StyleFile | None, *, replace: bool) -> int:
    """Check a style, write it and say so. before: as it was. Raises BackendError."""
    output = Output(json=options.json)
    try:
        style = writing.checked(writing.settings_of(style), StyleFile)
        recipe = making.checked(name, style)
        refuse(recipe, before)
        file = writing.write(name, style, replace=replace)
    except Unusable as error:
        raise CommandFailure("style_unwritten", detail=error) from error
    except FileExistsError as error:
        raise CommandFailure("style_exists", name=name, file=own_styles() / f"{name}.toml") from error
    except OSError as error:
        raise cannot_write(own_styles(), error) from error
    output.line(line_of(name))
    output.say(f"The style is {file}.")
    output.say(f"Make a clip in it: {typed('generate', style.example_prompt, '--style', name)}")
    return EXIT_DONE
