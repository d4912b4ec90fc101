"""The bars that the embedded models must reach, and the table that says whether they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figures:
    """What the evaluation measured: the judges on true renders, and each kind of clip."""

    judges: Mapping[str, float]
    kinds: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Bar:
    """One line of the table: the value must be at least (or `most`: at most) the limit."""

    name: str
    limit: float
    value: Callable[[Figures], float]
    most: bool = False
    percent: bool = True

    def line(self, figures: Figures) -> str:
        try:
            value = self.value(figures)
        except KeyError:
            return f"| {self.name} | {self._show(self.limit)} | not measured | |"
        reached = value <= self.limit if self.most else value >= self.limit
        return f"| {self.name} | {self._show(self.limit)} | {self._show(value, True)} | {'yes' if reached else 'no'} |"

    def _show(self, value: float, plain: bool = False) -> str:
        number = f"{100 * value:.1f} %" if self.percent else f"{value:.2f}"
        return number if plain else f"{'≤' if self.most else '≥'} {number}"


def _of(kind: str, name: str) -> Callable[[Figures], float]:
    return lambda figures: float(figures.kinds[kind][name])


def _judge(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures.judges[name]


def _nearer(t2v: str) -> Callable[[Figures], float]:
    """Feature distance of elevated frames relative to that of the T2V's."""
    return lambda figures: figures.kinds[f"{t2v}_elevated"]["fid"] / figures.kinds[f"{t2v}_alone"]["fid"]


def _sharpness(t2v: str) -> Callable[[Figures], float]:
    """How far elevated frames' sharpness is from the renders', relative to how far the T2V's is."""

    def value(figures: Figures) -> float:
        elevated, alone = figures.kinds[f"{t2v}_elevated"], figures.kinds[f"{t2v}_alone"]
        true = elevated["sharpness_of_renders"]
        return float(abs(elevated["sharpness"] - true) / abs(alone["sharpness"] - true))

    return value


def _gain(t2v: str) -> Callable[[Figures], float]:
    return lambda figures: figures.kinds[f"{t2v}_elevated"]["motion"] - figures.kinds["unrefined"]["motion"]


def _t2v_bars(t2v: str, title: str) -> list[Bar]:
    return [
        Bar(f"elevated with {title}: subject in frames", 0.85, _of(f"{t2v}_elevated", "subject")),
        Bar(f"elevated with {title}: motion of the prompt", 0.85, _of(f"{t2v}_elevated", "motion")),
        Bar(f"{title} alone: motion of the prompt", 0.85, _of(f"{t2v}_alone", "motion")),
        Bar(f"elevated with {title}: points of motion above no refining", 0.30, _gain(t2v)),
        Bar(f"elevated with {title}: feature distance, relative to {title} alone", 1, _nearer(t2v), True, False),
        Bar(f"elevated with {title}: distance to true sharpness, relative", 1, _sharpness(t2v), True, False),
    ]


BARS: tuple[Bar, ...] = (
    Bar("classifier on true renders: subject", 0.97, _judge("judge_subject")),
    Bar("classifier on true renders: background", 0.97, _judge("judge_background")),
    Bar("tracker on true clips", 0.97, _judge("tracker")),
    Bar("T2I: subject", 0.90, _of("t2i", "subject")),
    Bar("T2I: background", 0.95, _of("t2i", "background")),
    *_t2v_bars("zeroscope", "ZeroScope"),
    *_t2v_bars("animatediff", "AnimateDiff"),
    *(
        bar
        for name in ("sketch", "pixel_art", "neon")
        for bar in (
            Bar(f"{name}: feature distance, relative to plain", 0.7, _of(f"style_{name}", "relative_fid"), True, False),
            Bar(f"{name}: subject in frames", 0.75, _of(f"style_{name}", "subject")),
        )
    ),
)


def table(figures: Figures) -> str:
    """All bars as a Markdown table; how long a clip takes is measured in `tests/benchmarks/clip.py`."""
    lines = ["| measured | bar | value | reached |", "|---|---|---|---|", *(bar.line(figures) for bar in BARS)]
    held_out = [
        f"{kind} {100 * values['held_out_subject']:.0f} %"
        for kind, values in figures.kinds.items()
        if "held_out_subject" in values
    ]
    return "\n".join([*lines, "", "Subjects on held-out backgrounds: " + ", ".join(held_out) + ".", ""])
