"""`models export` and `models import`."""

from __future__ import annotations

import argparse
from pathlib import Path

from shared_protocol.machine.launcher import launcher

from ..failures import EXIT_DONE
from ..models import bundle
from ..models.catalogue import is_weights
from ..models.stock import read_stock
from .model_files import look_at, of_names, with_progress
from .model_lines import Bundle
from .output import Output, size_text, warn


def run_export(options: argparse.Namespace) -> int:
    """Write models, bases and styles for another machine. Raises BackendError."""
    output, got = Output(json=options.json), of_names(options.names)
    packed = with_progress(options, lambda show: bundle.export(options.file, got, show))
    _say_packed(output, options.file, packed, "were written")
    output.say(f'On the other machine: "{launcher()} models import {options.file.name}".')
    return EXIT_DONE


def run_import(options: argparse.Namespace) -> int:
    """Take in what another machine has exported. Raises BackendError."""
    output = Output(json=options.json)
    before = {got.place for got in read_stock()}
    packed = with_progress(options, lambda show: bundle.import_bundle(options.file, show))
    look_at([got.place for got in read_stock() if got.place not in before and is_weights(got.path)])
    _say_packed(output, options.file, packed, "are new here")
    return EXIT_DONE


def _say_packed(output: Output, file: Path, packed: bundle.Packed, done: str) -> None:
    output.line(Bundle(path=str(file), files=packed.files, size=packed.size, notes=packed.notes))
    output.say(f"{packed.files} files, {size_text(packed.size)}, {done}.")
    for note in packed.notes:
        warn(note)
