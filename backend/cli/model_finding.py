"""`models scan`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared_protocol.machine import places
from shared_protocol.machine.files import make_folder

from ..failures import EXIT_DONE
from ..models.download import cannot_write
from ..models.pairs import pairs, why_not
from ..models.scanning import Found, look_through
from .model_lines import FoundModel, FoundPair
from .output import Output, size_text, warn
from .terminal import CLEAR_LINE

MOST_SHOWN = 20
"""Pairs that are listed for people."""


def run_scan(options: argparse.Namespace) -> int:
    """Say which models lie in folders. Raises BackendError."""
    output = Output(json=options.json)
    folders = options.folders or [_own_folder()]
    with _counting(output) as told:
        scan = look_through(folders, torch=True, told=told)
    for place in scan.places:
        output.say(f"Looked through {place.path}{f', of {place.tool}' if place.tool else ''}.")
    for each in scan.found:
        output.line(_found_line(each))
    usable = [each for each in scan.found if not each.problem]
    if usable:
        output.table(
            ("KIND", "FAMILY", "SIZE", "FILE"),
            [(str(each.kind), str(each.family), size_text(each.size), each.path) for each in usable],
        )
    for each in scan.found:
        if each.problem:
            output.say(each.problem)
    _say_pairs(output, scan.found)
    for note in scan.notes:
        warn(note)
    return EXIT_DONE


@contextmanager
def _counting(output: Output) -> Iterator[Callable[[int], None]]:
    """Shows in a terminal how many models were found so far: a whole disk takes a while."""
    live = sys.stderr.isatty() and not output.json

    def told(count: int) -> None:
        if live and count % 50 == 0:
            print(f"{CLEAR_LINE}{count} models so far", end="", file=sys.stderr, flush=True)

    try:
        yield told
    finally:
        if live:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)


def _own_folder() -> Path:
    """The folder of models, which is made if it is not there. Raises ModelFailure."""
    folder = places.models_folder()
    try:
        make_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def _found_line(found: Found) -> FoundModel:
    return FoundModel(
        path=found.path,
        kind="" if found.kind is None else str(found.kind),
        family=str(found.family),
        title=found.title,
        size=found.size,
        trigger_words=found.trigger_words,
        problem=found.problem,
    )


def _say_pairs(output: Output, found: tuple[Found, ...]) -> None:
    fitting = pairs(found)
    for pair in fitting:
        lora = "" if pair.t2v_lora is None else pair.t2v_lora.path
        output.line(FoundPair(t2i=pair.t2i.path, t2v=pair.t2v.path, t2v_lora=lora, presets=pair.presets))
    if not fitting:
        output.say(why_not(found))
        return
    output.say("These would make a style together:")
    for pair in fitting[:MOST_SHOWN]:
        lora = "" if pair.t2v_lora is None else f" and its LoRA {Path(pair.t2v_lora.path).name}"
        words = f"{pair.t2i.title} ({pair.t2i.family}) with {pair.t2v.title}{lora}"
        output.say(f'  {words}; presets "{pair.presets}"')
    if len(fitting) > MOST_SHOWN:
        output.say(f"  and {len(fitting) - MOST_SHOWN} more; --json lists all.")
