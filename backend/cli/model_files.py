"""What the commands about model files share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..models import getting
from ..models.catalogue import read_catalogue
from ..models.failures import ModelFailure
from ..models.hub import Hub
from ..models.scanning import look_through
from ..models.stock import Got, read_stock
from .model_lines import FileProgress, GotFile
from .output import Output

T = TypeVar("T")


def with_progress(options: argparse.Namespace, act: Callable[[getting.Show], T]) -> T:
    """Do something that tells how far it is."""
    progress = FileProgress(Output(json=options.json), quiet=options.quiet)
    try:
        return act(progress)
    finally:
        progress.end()


def means(options: argparse.Namespace) -> getting.Means:
    """How files are got, as the options say. Raises ModelFailure."""
    return getting.Means(hub=Hub(), offline=options.offline)


def look_at(paths: list[Path]) -> None:
    """Remember what new files are, so that whoever has no torch knows it, too."""
    if paths:
        look_through(paths, torch=True)


def say_new(output: Output, new: list[Got]) -> None:
    """Tell of new files."""
    for got in new:
        output.line(
            GotFile(
                model=got.model,
                path=str(got.place),
                size=got.size,
                sha256=got.sha256,
                published=got.published,
            )
        )
    if learned := [got.path for got in new if not got.published]:
        output.say(f"Nobody has published hashes of these, so they could not be compared: {', '.join(learned)}.")


def of_names(names: list[str]) -> list[Got]:
    """What was got of these sets and models, or all. Raises ModelFailure."""
    got = read_stock()
    if not names:
        return list(got)
    catalogue, parts = read_catalogue(), dict[str, None]()
    for name in names:
        own = catalogue.sets[name].models if name in catalogue.sets else (name,)
        if not any(each.model in own for each in got):
            raise ModelFailure("not_got", name=name)
        parts |= dict.fromkeys(own)
    return [each for each in got if each.model in parts]
