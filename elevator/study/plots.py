"""Plots of the study. matplotlib is a package of the development environment, not of users': it is asked for here."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
_LOOK: Any = {"font.size": 8.0, "lines.markersize": 4.0, "lines.linewidth": 1.0, "savefig.dpi": 110.0}
"""matplotlib's settings; other sizes of text are told from this one."""
_BESIDE = (4.0, 3.0)
"""Where an arm's name stands beside its point, in points of type."""


def check() -> None:
    """Raise RequestError if matplotlib is not there, before hours of sampling."""
    if importlib.util.find_spec("matplotlib") is None:
        raise RequestError(NEEDED)


def bars(figures: Figures, table: Table, path: Path) -> bool:
    """Means with their intervals, a panel for each of some measures. Whether there was anything to show."""
    panels, t2vs = _panels(figures, table, PANELS), figures.study.t2vs_of(table)
    if not panels:
        return False
    arms = [arm.name for arm in table.arms]
    with _drawn(path, (3.2 * len(panels), 0.9 + 0.32 * len(arms))) as figure:
        rows = figure.subplots(ncols=len(panels), squeeze=False, sharey=True)
        for axes, name in zip(rows.flat, panels, strict=True):
            for k, t2v in enumerate(t2vs):
                shift = 0.16 * (k - (len(t2vs) - 1) / 2)
                points = [(row, figures.row(table, t2v, arm)[name]) for row, arm in enumerate(arms)]
                there = [(row + shift, value) for row, value in points if value is not None]
                axes.errorbar(
                    [value.value for _, value in there],
                    [row for row, _ in there],
                    xerr=_around([value for _, value in there]),
                    fmt="o",
                    label=Path(t2v).name,
                )
            axes.set_title(BY_NAME[name].title)
            axes.set_yticks(range(len(arms)), arms)
            axes.set_ylim(len(arms) - 0.5, -0.5)
            axes.grid(axis="x", alpha=0.3)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(t2vs))
    return True


def pareto(figures: Figures, table: Table, path: Path) -> bool:
    """Quality against arithmetic, and the arms that none beats in both, joined. Whether there was anything to show."""
    panels, t2vs = _panels(figures, table, (DISTANCE, "warp_error")), figures.study.t2vs_of(table)
    if not panels:
        return False
    with _drawn(path, (5.0 * len(panels), 3.6 * len(t2vs))) as figure:
        for row, t2v in zip(figure.subplots(len(t2vs), len(panels), squeeze=False), t2vs, strict=True):
            for axes, name in zip(row, panels, strict=True):
                _front_of(axes, figures, table, t2v, name)
                axes.set_title(Path(t2v).name)
                axes.set_xlabel("TFLOP a clip")
                axes.set_ylabel(BY_NAME[name].title)
    return True


def _panels(figures: Figures, table: Table, names: Sequence[str]) -> list[str]:
    """Those of the measures that any clip has; none if no clip of the table was made."""
    t2vs, measured = figures.study.t2vs_of(table), {measure.name for measure in figures.measures}
    made = any(figures.records(table, t2v, arm.name) for t2v in t2vs for arm in table.arms)
    return [name for name in names if made and name in measured]


def _front_of(axes: Any, figures: Figures, table: Table, t2v: str, name: str) -> None:
    points = []
    for arm in table.arms:
        row = figures.row(table, t2v, arm.name)
        quality, flops = row[name], row["tflop"]
        if quality is not None and flops is not None:
            points.append((flops.value, quality.value))
            axes.errorbar(flops.value, quality.value, yerr=_around([quality]), fmt="o", color="C0")
            axes.annotate(arm.name, (flops.value, quality.value), xytext=_BESIDE, textcoords="offset points")
    best = front(points)
    axes.plot([x for x, _ in best], [y for _, y in best], color="C1")


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


@contextmanager
def _drawn(path: Path, size: tuple[float, float]) -> Iterator[Figure]:
    """A figure of so many inches, which is saved at the end."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_LOOK):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        temporary = path.with_suffix(".part.png")
        figure.savefig(temporary, format="png", metadata={"Software": None})
        temporary.replace(path)
