"""`models list` and `models get`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import msgspec

from shared_protocol.machine import places
from shared_protocol.machine.launcher import launcher

from ..failures import EXIT_DONE
from ..models import getting
from ..models.catalogue import Catalogue, is_weights, read_catalogue
from ..models.catalogue import Model as CatalogueModel
from ..models.failures import ModelFailure
from ..models.hub import offline_because
from ..models.recipes import base_of, place, style_of
from ..models.stock import Got, place_of, read_stock
from ..styles import writing
from ..styles.files import Base, StyleFile
from .model_adding import write_pair
from .model_files import look_at, means, say_new, with_progress
from .model_lines import Model, ModelSet
from .output import Output, size_text, typed


def run_list(options: argparse.Namespace) -> int:
    """Say what there is to get, and what of it is here. Raises BackendError."""
    output, catalogue, got = Output(json=options.json), read_catalogue(), read_stock()
    rows = []
    for name, made in catalogue.sets.items():
        rest = _missing_bytes(catalogue.named(name), got)
        size = catalogue.size(name)
        line = ModelSet(
            name=name,
            title=made.title,
            about=made.about,
            size=size,
            missing=rest,
            memory_gb=made.memory_gb,
            t2i=made.t2i,
            t2v=made.t2v,
            presets=made.presets,
        )
        output.line(line)
        rows.append((name, made.title, size_text(size), f"{made.memory_gb:g} GB", _here(size, rest), made.about))
    output.table(("SET", "WHAT", "SIZE", "CARD", "HERE", ""), rows)
    if options.all:
        output.say("")
        _list_models(output, catalogue, got)
    output.say(f'"{launcher()} models get SET" gets one into {places.models_folder()}.')
    return EXIT_DONE


def _list_models(output: Output, catalogue: Catalogue, got: Iterable[Got]) -> None:
    rows = []
    for name, model in catalogue.models.items():
        rest = _missing_bytes({name: model}, got)
        line = Model(
            name=name,
            title=model.title,
            kind=model.kind,
            repo=model.repo,
            revision=model.revision,
            size=model.expected,
            missing=rest,
            licence=model.licence,
            needs=model.needs,
            folder=str(place_of(name)),
        )
        output.line(line)
        rows.append((name, model.title, size_text(model.expected), _here(model.expected, rest), model.licence))
    output.table(("MODEL", "WHAT", "SIZE", "HERE", "LICENCE"), rows)


def _missing_bytes(models: dict[str, CatalogueModel], got: Iterable[Got]) -> int:
    return sum(max(file.expected, 1) for _, _, file in getting.missing(models, tuple(got)))


def _here(size: int, rest: int) -> str:
    if not rest:
        return "yes"
    return "no" if rest >= size else "partly"


def run_get(options: argparse.Namespace) -> int:
    """Download sets or models. Raises BackendError."""
    output, catalogue = Output(json=options.json), read_catalogue()
    models = {name: model for each in options.names for name, model in catalogue.named(each).items()}
    lacking = {name for name, _, _ in getting.missing(models, read_stock())}
    for name, model in models.items():
        output.say(f"{name}: {size_text(model.expected)}, {'to get' if name in lacking else 'is here'}.")
        if name in lacking:
            output.say(f"  {model.licence}")
    if lacking and (why := offline_because(asked=options.offline)):
        raise ModelFailure("offline", why=why)
    new = with_progress(options, lambda show: getting.get(catalogue, options.names, means(options), show))
    say_new(output, new)
    look_at([got.place for got in new if is_weights(got.path)])
    for each in options.names:
        _make_ready(output, catalogue, each)
    return EXIT_DONE


def _make_ready(output: Output, catalogue: Catalogue, name: str) -> None:
    """Say where a model lies, or write the base and the style of a set. Raises BackendError."""
    if name not in catalogue.sets:
        output.say(f"All of {name} is here: {place(catalogue, name)}")
        return
    base = msgspec.convert(base_of(catalogue, name), Base)
    style = msgspec.convert(style_of(catalogue, name, name), StyleFile)
    if writing.exists(name):
        output.say(f'All of {name} is here, and so is a style "{name}", which stays as it is.')
    else:
        added = write_pair(name, base, style)
        output.line(added)
        output.say(f"All of {name} is here. The base is {added.base}, the style {added.style}.")
    output.say(f"Make a clip in it: {typed('generate', style.example_prompt, '--style', name)}")
