"""Plots of the study. matplotlib is a package of the development environment, not of users': it is asked for here."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RequestError
from .arms import Table
from .figures import Figures
from .measures import BY_NAME, DISTANCE
from .statistics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEEDED = (
    "The study's plots need matplotlib, which this environment does not have; "
    'install it with "python -m pip install matplotlib", or leave them out with --no-plots.'
)
PANELS = (DISTANCE, "motion", "warp_error", "flow")
"""Measures that each table's plot shows."""
COSTLY = "arithmetic"
"""The table whose arms are plotted against their arithmetic, too."""


def check() -> None:
    """Raise RequestError if matplotlib is not there, before hours of sampling."""
    if importlib.util.find_spec("matplotlib") is None:
        raise RequestError(NEEDED)


def bars(figures: Figures, table: Table, path: Path) -> bool:
    """Means with their intervals, a panel for each of some measures. Whether there was anything to show."""
    from matplotlib.figure import Figure

    t2vs = figures.study.t2vs_of(table)
    panels = [name for name in PANELS if name in {measure.name for measure in figures.measures}]
    arms = [arm.name for arm in table.arms]
    if not panels or not any(figures.records(table.seeds, t2v, arm) for t2v in t2vs for arm in arms):
        return False
    figure = Figure(figsize=(3.2 * len(panels), 0.9 + 0.32 * len(arms)), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for k, t2v in enumerate(t2vs):
            shift = 0.16 * (k - (len(t2vs) - 1) / 2)
            points = [(row, figures.row(table.seeds, t2v, arm)[name]) for row, arm in enumerate(arms)]
            there = [(row + shift, value) for row, value in points if value is not None]
            axes.errorbar(
                [value.value for _, value in there],
                [row for row, _ in there],
                xerr=_around([value for _, value in there]),
                fmt="o",
                markersize=4,
                label=Path(t2v).name,
            )
        axes.set_title(BY_NAME[name].title, fontsize=9)
        axes.set_yticks(range(len(arms)), arms if name == panels[0] else [""] * len(arms), fontsize=8)
        axes.set_ylim(len(arms) - 0.5, -0.5)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="x", alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    _save(figure, path)
    return True


def pareto(figures: Figures, table: Table, path: Path) -> bool:
    """Quality against arithmetic, and the arms that none beats in both, joined. Whether there was anything to show."""
    from matplotlib.figure import Figure

    t2vs = figures.study.t2vs_of(table)
    panels = [name for name in (DISTANCE, "warp_error") if name in {each.name for each in figures.measures}]
    if not panels or not any(figures.records(table.seeds, t2v, arm.name) for t2v in t2vs for arm in table.arms):
        return False
    count = len(t2vs)
    figure = Figure(figsize=(5 * len(panels), 3.6 * count), layout="constrained")
    for row, t2v in zip(figure.subplots(count, len(panels), squeeze=False), t2vs, strict=True):
        for axes, name in zip(row, panels, strict=True):
            _front_of(axes, figures, table, t2v, name)
            axes.set_title(Path(t2v).name, fontsize=9)
            axes.set_xlabel("TFLOP a clip", fontsize=8)
            axes.set_ylabel(BY_NAME[name].title, fontsize=8)
    _save(figure, path)
    return True


def _front_of(axes: Any, figures: Figures, table: Table, t2v: str, name: str) -> None:
    points = []
    for arm in table.arms:
        row = figures.row(table.seeds, t2v, arm.name)
        quality, flops = row[name], row["tflop"]
        if quality is not None and flops is not None:
            points.append((flops.value, quality.value, arm.name))
            axes.errorbar(flops.value, quality.value, yerr=_around([quality]), fmt="o", markersize=4, color="C0")
            axes.annotate(arm.name, (flops.value, quality.value), fontsize=7, xytext=(4, 3), textcoords="offset points")
    best = front([(flops, quality) for flops, quality, _ in points])
    axes.plot([x for x, _ in best], [y for _, y in best], color="C1", linewidth=1, zorder=0)


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those points than which no other is as low in both and lower in one, from left to right."""
    best: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return best


def _around(values: list[Interval]) -> list[list[float]]:
    """Lengths of error bars, below and above."""
    return [
        [max(value.value - value.low, 0) for value in values],
        [max(value.high - value.value, 0) for value in values],
    ]


def _save(figure: Figure, path: Path) -> None:
    temporary = path.with_suffix(".part.png")
    figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
    temporary.replace(path)
