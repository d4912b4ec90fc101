"""`models add`: a base and a style from model files, without writing a file by hand."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from elevator.checkpoints import Family, Identity

from ..client.failures import cannot_write
from ..failures import EXIT_DONE
from ..styles import making, writing
from ..styles.files import Base, StyleFile, Unusable, own_bases, own_styles
from .failures import CommandFailure
from .output import JsonLine, Output, typed

if TYPE_CHECKING:
    from elevator.arguments import Commands


class Added(JsonLine, frozen=True, kw_only=True, tag=True):
    """A base and a style were written."""

    name: str
    """Of both."""
    base: str
    """The base's file."""
    style: str
    """The style's file."""


def add_add(actions: Commands) -> None:
    """Add it to the actions of `models`."""
    about = "write a base and a style for model files, which stay where they are"
    action = actions.add_parser("add", help=about, description=f"{about[:1].upper()}{about[1:]}.")
    action.add_argument("--json", action="store_true", help="print one JSON object a line (docs/COMMANDS.md)")
    action.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a checkpoint, a motion module or text-to-video model, and perhaps a VAE, LoRAs and embeddings",
    )
    action.add_argument("--name", metavar="NAME", help="of base and style (default: made from the title)")
    action.add_argument("--title", default="", metavar="TEXT", help="for people (default: the checkpoint's own)")
    action.add_argument("--text", type=Path, metavar="MODEL", help="whose text encoder the text-to-video model reads")
    action.add_argument("--overwrite", action="store_true", help="replace a base and style of this name")
    action.set_defaults(run=run_add)


def run_add(options: argparse.Namespace) -> int:
    """Write a base and a style. Raises BackendError."""
    output = Output(json=options.json)
    try:
        made = making.from_models(options.files, title=options.title, name=options.name or "", text=options.text)
    except making.Unfit as error:
        raise CommandFailure("models_unfit", detail=error, step=error.step) from error
    except Unusable as error:
        raise CommandFailure("style_unwritten", detail=error) from error
    if options.name and writing.exists(made.name) and not options.overwrite:
        raise CommandFailure("style_exists", name=made.name, file=own_styles() / f"{made.name}.toml")
    added = write_pair(made.name, made.base, made.style, replace=options.overwrite)
    for each in made.found:
        output.say(_said(each))
    for note in made.notes:
        output.say(note)
    output.line(added)
    output.say(f"The base is {added.base}, the style {added.style}. The models stay where they are.")
    output.say(f"Make a clip in it: {typed('generate', made.style.example_prompt, '--style', made.name)}")
    return EXIT_DONE


def write_pair(name: str, base: Base, style: StyleFile, *, replace: bool = False) -> Added:
    """Write a base and a style of one name. Raises BackendError."""
    try:
        return Added(
            name=name,
            base=str(writing.write(name, base, replace=replace)),
            style=str(writing.write(name, style, replace=replace)),
        )
    except Unusable as error:
        raise CommandFailure("style_unwritten", detail=error) from error
    except FileExistsError as error:
        raise CommandFailure("style_exists", name=name, file=own_bases() / f"{name}.toml") from error
    except OSError as error:
        raise cannot_write(own_styles().parent, error) from error


def _said(found: Identity) -> str:
    """What a file is, as a person says it."""
    family = "" if found.family in (Family.UNKNOWN, Family.OTHER) else f" of {found.family}"
    return f"{found.path.name}: {found.kind}{family}"
