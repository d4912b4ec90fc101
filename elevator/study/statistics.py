"""Means with intervals, and differences clip by clip, by a bootstrap over prompts.

The clips of one prompt resemble each other, so whole prompts are drawn, with all seeds (Field & Welsh, 2007: the
cluster bootstrap). Differences draw the same prompts for both arms. Every draw is fixed by a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..embedded.small_world.judge import FEATURES, frechet_of
from .records import Record, unpacked

DRAWS, DRAWS_OF_DISTANCE = 2000, 200
"""A distance needs the roots of a matrix for each draw."""
LEVEL = 0.95
LEAST_PROMPTS = 8
"""For a difference to count."""
Clip = tuple[str, int]
"""Prompt and seed."""
Arrays = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value and between which it lies with 95 %."""

    value: float
    low: float
    high: float
    prompts: int
    """From how many; a bootstrap of few is too sure of itself."""

    @property
    def excludes_zero(self) -> bool:
        """Whether chance alone is no explanation of a difference; never for a handful of prompts."""
        return self.prompts >= LEAST_PROMPTS and (self.low > 0 or self.high < 0)


def draws(prompts: int, count: int) -> NDArray[np.int64]:
    """How often each prompt is drawn, (count, prompts), the same at every call."""
    rng = np.random.default_rng(1979)
    return rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=count)


def _interval(value: float, values: Arrays, prompts: int) -> Interval:
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(values) else (np.nan, np.nan)
    return Interval(value, float(low), float(high), prompts)


def mean(values: Mapping[Clip, float]) -> Interval | None:
    """The mean over clips; None for none."""
    if not values:
        return None
    prompts = sorted({prompt for prompt, _ in values})
    place = {prompt: k for k, prompt in enumerate(prompts)}
    sums, counts = np.zeros(len(prompts)), np.zeros(len(prompts))
    for (prompt, _), value in values.items():
        sums[place[prompt]] += value
        counts[place[prompt]] += 1
    weights = draws(len(prompts), DRAWS)
    return _interval(float(sums.sum() / counts.sum()), (weights @ sums) / (weights @ counts), len(prompts))


def difference(ours: Mapping[Clip, float], theirs: Mapping[Clip, float]) -> Interval | None:
    """The mean of ours less theirs, over the clips that both have; None for none."""
    return mean({clip: value - theirs[clip] for clip, value in ours.items() if clip in theirs})


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums of features by prompt, from which the mean and covariance of any draw of prompts follow."""

    count: Arrays
    """(P,)."""
    first: Arrays
    """(P, 128)."""
    second: Arrays
    """(P, 128, 128)."""

    @classmethod
    def of(cls, features: Mapping[Clip, Arrays], prompts: list[str]) -> Moments:
        """Of clips' features (n, 128)."""
        place = {prompt: k for k, prompt in enumerate(prompts)}
        width = next((each.shape[1] for each in features.values()), FEATURES)
        made = cls(np.zeros(len(prompts)), np.zeros((len(prompts), width)), np.zeros((len(prompts), width, width)))
        for (prompt, _), each in features.items():
            k = place[prompt]
            made.count[k] += len(each)
            made.first[k] += each.sum(0)
            made.second[k] += each.T @ each
        return made

    def gaussian(self, weights: Arrays | NDArray[np.int64]) -> tuple[Arrays, Arrays]:
        """Mean (128,) and covariance (128, 128) where prompts count so often."""
        count = weights @ self.count
        middle = weights @ self.first / count
        square = np.tensordot(weights, self.second, 1)
        return middle, (square - count * np.outer(middle, middle)) / (count - 1)


Features = Mapping[Clip, Arrays]


def distance(ours: Features, true: Mapping[str, Arrays]) -> Interval | None:
    """Fréchet distance of features to those of true renders of the same prompts; None for none."""
    return _distances(ours, true, lambda values: values[0], (ours,))


def distance_difference(ours: Features, theirs: Features, true: Mapping[str, Arrays]) -> Interval | None:
    """Of ours less theirs, over the clips that both have; None for none."""
    both = ours.keys() & theirs.keys()
    pair = ({clip: ours[clip] for clip in both}, {clip: theirs[clip] for clip in both})
    return _distances(pair[0], true, lambda values: values[0] - values[1], pair)


def _distances(
    clips: Iterable[Clip],
    true: Mapping[str, Arrays],
    combine: Callable[[list[float]], float],
    sets: tuple[Features, ...],
) -> Interval | None:
    prompts = sorted({prompt for prompt, _ in clips if prompt in true})
    if len(prompts) < 2:
        return None
    known = [{clip: each for clip, each in features.items() if clip[0] in true} for features in sets]
    moments = [Moments.of(features, prompts) for features in known]
    reference = Moments.of({(prompt, 0): true[prompt] for prompt in prompts}, prompts)

    def value(weights: Arrays | NDArray[np.int64]) -> float:
        right = reference.gaussian(weights)
        return combine([frechet_of(*each.gaussian(weights), *right) for each in moments])

    drawn = np.array([value(weights) for weights in draws(len(prompts), DRAWS_OF_DISTANCE)])
    found = value(np.ones(len(prompts)))
    # A draw holds some prompts twice, so its distance is too large; only how draws differ from each other counts.
    return _interval(found, found + drawn - drawn.mean(), len(prompts))


def numbers_of(records: Iterable[Record], name: str) -> dict[Clip, float]:
    """One measure of every clip that has it."""
    found = {}
    for record in records:
        whole = {**record.numbers, "seconds": record.seconds, "calls": record.calls, "tflop": record.tflop}
        if name in whole:
            found[record.prompt, record.seed] = float(whole[name])
    return found


def features_of(records: Iterable[Record]) -> dict[Clip, Arrays]:
    """The features of every clip that has some, (4, 128)."""
    return {
        (record.prompt, record.seed): unpacked(record.features) for record in records if record.features is not None
    }
