"""Means with intervals, and differences clip by clip, by a bootstrap over prompts.

The clips of one prompt resemble each other, so whole prompts are drawn, with all seeds (Field & Welsh, 2007: the
cluster bootstrap). Differences draw the same prompts for both arms. Every draw is fixed by a seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..embedded.small_world.judge import FEATURES
from .records import Record, unpacked

DRAWS, DRAWS_OF_DISTANCE = 2000, 200
"""A distance needs the roots of a matrix for each draw."""
LEVEL = 0.95
LEAST_PROMPTS = 8
"""For a difference to count."""
Clip: TypeAlias = tuple[str, int]
"""Prompt and seed."""
Arrays: TypeAlias = NDArray[np.float64]


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

    def gaussians(self, weights: NDArray[np.int64]) -> tuple[Arrays, Arrays]:
        """Means (D, 128) and covariances (D, 128, 128) of D draws (D, P), in which prompts count so often."""
        count = (weights @ self.count)[:, None]
        middle = weights @ self.first / count
        square = np.tensordot(weights, self.second, 1)
        spread = square - count[..., None] * middle[:, :, None] * middle[:, None, :]
        return middle, spread / (count[..., None] - 1)


def _all_draws(prompts: int) -> NDArray[np.int64]:
    """Every prompt once, and below it the draws of a distance."""
    return np.concatenate([np.ones((1, prompts), np.int64), draws(prompts, DRAWS_OF_DISTANCE)])


class Truth:
    """Features of true renders, with which those of clips are compared."""

    def __init__(self, features: Mapping[str, Arrays]) -> None:
        self.features = features
        """Prompt → (n, 128)."""
        self._known: dict[tuple[str, ...], tuple[Arrays, Arrays, Arrays]] = {}

    def gaussians(self, prompts: tuple[str, ...]) -> tuple[Arrays, Arrays, Arrays]:
        """Means, roots of covariances, and their traces, of all prompts and of every draw; computed once."""
        if prompts not in self._known:
            of_prompts = {(prompt, 0): self.features[prompt] for prompt in prompts}
            means, covariances = Moments.of(of_prompts, list(prompts)).gaussians(_all_draws(len(prompts)))
            values, vectors = np.linalg.eigh(covariances)
            roots = (vectors * np.sqrt(np.clip(values, 0, None))[:, None]) @ vectors.transpose(0, 2, 1)
            self._known[prompts] = means, roots, np.trace(covariances, axis1=1, axis2=2)
        return self._known[prompts]

    def distances(self, clips: Features, prompts: tuple[str, ...]) -> Arrays:
        """Fréchet distances of clips' features, of all prompts and of every draw, (1 + D,).

        As `frechet_distance`, with the root of A½ B A½, which has the eigenvalues of A B and is symmetric.
        """
        means, covariances = Moments.of(clips, list(prompts)).gaussians(_all_draws(len(prompts)))
        true_means, roots, traces = self.gaussians(prompts)
        products = np.linalg.eigvalsh(roots @ covariances @ roots)
        both = np.sqrt(np.clip(products, 0, None)).sum(1)
        away = ((means - true_means) ** 2).sum(1)
        return np.asarray(away + traces + np.trace(covariances, axis1=1, axis2=2) - 2 * both)


Features: TypeAlias = Mapping[Clip, Arrays]


def distance(ours: Features, truth: Truth) -> Interval | None:
    """Fréchet distance of features to those of true renders of the same prompts; None for less than two prompts."""
    known, prompts = _known(ours, ours.keys(), truth)
    return _around(truth.distances(known, prompts), len(prompts)) if len(prompts) > 1 else None


def distance_difference(ours: Features, theirs: Features, truth: Truth) -> Interval | None:
    """Of ours less theirs, over the clips that both have; None for less than two prompts."""
    both = ours.keys() & theirs.keys()
    (one, prompts), (other, _) = _known(ours, both, truth), _known(theirs, both, truth)
    if len(prompts) < 2:
        return None
    return _around(truth.distances(one, prompts) - truth.distances(other, prompts), len(prompts))


def _known(features: Features, clips: Iterable[Clip], truth: Truth) -> tuple[Features, tuple[str, ...]]:
    """The features of those clips whose prompts have true renders, and these prompts."""
    found = {clip: features[clip] for clip in clips if clip[0] in truth.features}
    return found, tuple(sorted({prompt for prompt, _ in found}))


def _around(values: Arrays, prompts: int) -> Interval:
    """Of all prompts' value and those of the draws.

    A draw holds some prompts twice, so its distance is too large; only how draws differ from each other counts.
    """
    return _interval(float(values[0]), values[0] + values[1:] - values[1:].mean(), prompts)


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
