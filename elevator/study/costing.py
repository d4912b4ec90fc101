"""What a study takes, in clips and hours, as far as it is known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from .making import Recipe
from .running import Cast, Known, Study

ROW = "{:<36} {:>6} {:>6} {:>8} {:>9} {:>7}"


@dataclass(frozen=True)
class Cost:
    """Of one arm."""

    recipe: Recipe
    clips: int
    made: int
    seconds: float
    """A clip; 0 where nothing is known."""
    measured: bool
    """Whether clips of this arm were timed; else other arms' seconds for as much arithmetic."""

    @property
    def hours(self) -> float:
        """That are left, of one process."""
        return (self.clips - self.made) * self.seconds / 3600

    def line(self) -> str:
        name = f"{self.recipe.t2v}: {self.recipe.arm.name}"
        seconds = f"{self.seconds:.1f}{'' if self.measured else '?'}" if self.seconds else "–"
        hours = f"{self.hours:.2f}" if self.seconds else "–"
        return ROW.format(name, self.clips, self.made, f"{self.recipe.tflop:.2f}", seconds, hours)


def costs(study: Study, found: Cast, known: Known) -> list[Cost]:
    """Of every arm, with the times of this device."""
    timed = defaultdict(list)
    rates = []
    for record in known.values():
        if record.device == study.machine.device:
            timed[record.key].append(record.seconds)
            rates.append(record.seconds / record.tflop)
    rate = float(np.median(rates)) if rates else 0.0
    return [
        Cost(
            recipe,
            len(study.clips(found.seeds[recipe.key])),
            sum((recipe.key, prompt.text, seed) in known for prompt, seed in study.clips(found.seeds[recipe.key])),
            float(np.median(timed[recipe.key])) if timed[recipe.key] else rate * recipe.tflop,
            bool(timed[recipe.key]),
        )
        for recipe in found.different.values()
    ]


def told(study: Study, found: Cast, known: Known) -> str:
    """All of it, in lines; hours are of one process on an idle core."""
    every = costs(study, found, known)
    hours, left = sum(cost.hours for cost in every), sum(cost.clips - cost.made for cost in every)
    said = f"{left} of {sum(cost.clips for cost in every)} clips are to be made"
    if hours:
        said += f", in {hours:.1f} hours of one process, {hours / study.processes:.1f} of {study.processes}"
    lines = [ROW.format("arm", "clips", "made", "TFLOP", "s a clip", "h left"), *(cost.line() for cost in every)]
    lines += [f"{t2v}: {arm} is left out: {why}" for (t2v, arm), why in found.impossible.items()]
    if not all(cost.seconds for cost in every):
        lines.append("Hours are known once the first clips were made.")
    elif not all(cost.measured for cost in every):
        lines.append("?: not measured yet; by its arithmetic, at the rate of the others.")
    return "\n".join([*lines, f"{said}."])
