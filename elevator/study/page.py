"""The page that holds all tables, pictures and plots of a study, `README.md`, and all its figures, `study.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import plots, sheets
from .arms import Table
from .costing import told
from .figures import Figures, Row, Verdict
from .measures import BY_NAME, LEGEND, Measure
from .records import Record
from .running import Cast, Known, Study
from .statistics import DRAWS, DRAWS_OF_DISTANCE, Interval

PAGE, JSON = "README.md", "study.json"
MINUS = "−"


def write(study: Study, found: Cast, known: Known, with_plots: bool) -> Path:
    """Write everything anew from what is known; returns the page's path."""
    study.out.mkdir(parents=True, exist_ok=True)
    figures = Figures(study, found, known)
    made = [record for record in known.values() if record.key in found.seeds]
    parts = ["\n".join(_head(figures, made))]
    for k, t2v in enumerate(study.t2vs):
        name = f"main_{k + 1}.png" if k else "main.png"
        if sheets.main_picture(study, found, t2v, study.out / name):
            parts.append(f"![T2V alone, T2I per frame, elevated, elevated as a sketch; {label(t2v)}]({name})")
    for table in study.tables:
        parts.append("\n\n".join(_section(figures, table, with_plots)))
    parts.append(f"## What it costs\n\n```text\n{told(study, found, known)}\n```")
    page = study.out / PAGE
    _replace(page, "\n\n".join(parts) + "\n")
    _replace(study.out / JSON, json.dumps(_content(figures), indent=1, ensure_ascii=False) + "\n")
    return page


def label(t2v: str) -> str:
    """A T2V's name for people."""
    return Path(t2v).name


def _head(figures: Figures, made: list[Record]) -> Iterator[str]:
    study = figures.study
    commits = sorted({record.commit for record in made if record.commit}) or ["unknown"]
    yield "# The study\n"
    yield (
        f"{len(study.prompts)} prompts with one or two seeds each, {len(made)} clips; made by the command "
        f"*elevator study* at commit {', '.join(commits)}. Prompts and seeds were fixed before; pictures show the "
        "first of every 12 prompts with its first seed, whatever they look like. Each table says how many are made."
    )
    yield f"T2I: {label(study.t2i)}. T2V: {', '.join(map(label, study.t2vs))}. {_settings(study, figures.found)}\n"
    yield LEGEND
    yield f"Draws: {DRAWS}, and {DRAWS_OF_DISTANCE} of distances."
    floor = figures.floor() if any(record.features for record in made) else None
    if floor is not None:
        yield f"*True renders* with other accidents: feature distance {cell(floor, 1)}."


def _settings(study: Study, found: Cast) -> str:
    sizes = sorted({f"{recipe.width} × {recipe.height}" for recipe in found.recipes.values()})
    return f"{study.frames} frames of {', '.join(sizes)}, networks in {study.machine.dtype} on {study.machine.device}."


def _section(figures: Figures, table: Table, with_plots: bool) -> Iterator[str]:
    study = figures.study
    yield f"## {table.title}"
    yield table.shows
    for k, t2v in enumerate(study.t2vs_of(table), 1):
        arms = [arm.name for arm in table.arms if figures.records(table, t2v, arm.name)]
        if not arms:
            continue
        yield f"### {table.title}, {label(t2v)}"
        clips = figures.clips(table, t2v)
        yield f"Every row: {len(clips)} clips of {len({text for text, _ in clips})} prompts."
        if table.claims:
            yield "\n".join(f"- {sentence(verdict)}" for verdict in figures.verdicts(table, t2v))
        yield _markdown(figures.measures, {arm: figures.row(table, t2v, arm) for arm in arms}, False)
        others = {arm: figures.differences(table, t2v, arm, table.against) for arm in arms if arm != table.against}
        if table.against in arms and others:
            yield f"Differences from *{table.against}*, clip by clip:"
            yield _markdown([each for each in figures.measures if each.paired], others, True)
        impossible = {arm.name: figures.found.impossible.get((t2v, arm.name)) for arm in table.arms}
        yield from (f"*{arm}* is not possible here: {why}" for arm, why in impossible.items() if why)
        for name in sheets.tables_pictures(study, figures.found, table, t2v, f"{table.name}_{k}"):
            yield f"![{table.title}, {label(t2v)}]({name})"
    if with_plots:
        for draw, name in ((plots.bars, f"{table.name}.png"), (plots.pareto, f"{table.name}_pareto.png")):
            if (draw is plots.bars or table.name == plots.COSTLY) and draw(figures, table, study.out / name):
                yield f"![{table.title}: means with intervals]({name})"


def sentence(verdict: Verdict) -> str:
    """What became of a claim."""
    claim, measure = verdict.claim, BY_NAME[verdict.claim.measure]
    said = f"{claim.source}: {claim.text}. Here that **{verdict.text}**"
    if verdict.difference is None:
        return f"{said}."
    return (
        f"{said} ({measure.title} of *{claim.arm}* less *{claim.than}*: "
        f"{cell(verdict.difference, measure.digits, signed=True)})."
    )


def cell(value: Interval | None, digits: int, signed: bool = False) -> str:
    """A value with its interval, as text; in bold where a difference excludes 0."""
    if value is None:
        return "–"
    text = _number(value.value, digits, signed)
    if value.low != value.high:
        text += f" [{_number(value.low, digits, signed)}, {_number(value.high, digits, signed)}]"
    return f"**{text}**" if signed and value.excludes_zero else text


def _number(value: float, digits: int, signed: bool) -> str:
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def _markdown(measures: list[Measure], rows: dict[str, Row], signed: bool) -> str:
    arrows = {"more": " ↑", "less": " ↓", "": ""}
    lines = [
        "| | " + " | ".join(f"{measure.title}{arrows[measure.better]}" for measure in measures) + " |",
        "|---" * (len(measures) + 1) + "|",
    ]
    for arm, row in rows.items():
        cells = [cell(row.get(measure.name), measure.digits, signed) for measure in measures]
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _content(figures: Figures) -> dict[str, Any]:
    """All figures and settings, fit for JSON."""
    found = figures.found
    tables = {}
    for table in figures.study.tables:
        for t2v in figures.study.t2vs_of(table):
            arms = [arm.name for arm in table.arms if figures.records(table, t2v, arm.name)]
            others = [arm for arm in arms if arm != table.against]
            tables[f"{table.name}, {t2v}"] = {
                "arms": {arm: _plain(figures.row(table, t2v, arm)) for arm in arms},
                "differences": {arm: _plain(figures.differences(table, t2v, arm, table.against)) for arm in others},
                "claims": [
                    {"claim": verdict.claim.text, "here": verdict.text, "difference": _interval(verdict.difference)}
                    for verdict in figures.verdicts(table, t2v)
                ],
            }
    settings = {key: recipe.settings for key, recipe in found.different.items()}
    arms_keys = {f"{t2v}: {arm}": recipe.key for (t2v, arm), recipe in found.recipes.items()}
    return {"tables": tables, "arms": arms_keys, "settings": settings}


def _plain(row: Row) -> dict[str, Any]:
    return {name: _interval(value) for name, value in row.items()}


def _interval(value: Interval | None) -> dict[str, float] | None:
    return None if value is None else {name: round(each, 5) for name, each in asdict(value).items()}


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
