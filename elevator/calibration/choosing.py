"""Which refinements a curve asks for, R and N, within a budget of arithmetic. Importing this imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import PlanError
from ..plan import Plan

OPEN = 0.1
"""A refinement's steps are enough where further ones would change less than this part of what the T2V says: what is
handed back half-settled costs the look more than it saves."""
WORTH = 0.002
"""A refinement that lowers the leftover by less than this part of that of no refinement is not made."""


@dataclass(frozen=True)
class Point:
    """What the T2V says at one step of the T2I's own chain, mean over the probed clips."""

    countdown: int
    timestep: int
    """Of the T2I."""
    snr: float
    """Of the T2I's latents, dB; −120: noise alone."""
    video_snr: float
    """Of the T2V's, which the clean prediction is noised to."""
    difference: float
    """Between the clean predictions of T2V and T2I, RMS of what is motion, in deviations of the finished latents."""
    kept: float
    """Part of the difference that the T2I's next clean prediction has, 0 … 1."""
    news: float
    """Difference that is kept."""
    open: tuple[float, ...]
    """Of that, what is still to change after 1, 2 … T2V steps; 0 after the last that was probed."""


Price = Callable[[Plan], int]
"""Floating-point operations of a whole clip."""


def settled_steps(curve: Sequence[Point]) -> int:
    """N: the fewest T2V steps after which further ones change at most `OPEN` of the news, over the whole curve.

    Countdowns with too few steps left for all that were probed do not count.
    """
    most = max(len(point.open) for point in curve)
    whole = [point for point in curve if len(point.open) == most]
    news = sum(point.news for point in whole)
    return next(n for n in range(1, most + 1) if sum(point.open[n - 1] for point in whole) <= OPEN * news or n == most)


def leftover(curve: Sequence[Point], refine: Sequence[int]) -> float:
    """What is not heard in time: news gather up to the next refinement, or the end, and count by their square.

    Those of a refining step itself are heard. So the best refinements cut the curve into parts of about equal area:
    they stand close where there is much to hear.
    """
    total = gathered = 0.0
    for point in curve:
        if point.countdown in refine:
            total, gathered = total + gathered**2, 0.0
        else:
            gathered += point.news
    return total + gathered**2


def choose(curve: Sequence[Point], frame: Plan, price: Price, budget: int) -> Plan | None:
    """The frame with the refinements that the curve asks for; None if the budget allows of none that is worth it.

    curve: a point for each of the frame's steps, in their order. Refinements are added one by one, each the one that
    lowers the leftover most for its price, then moved as long as that lowers it. Where the budget has no room for a
    single one of N steps, N is less.
    """
    for steps in range(settled_steps(curve), 0, -1):
        search = _Search(curve, frame, steps, price, budget)
        if refine := search.refine():
            return search.plan(refine)
    return None


@dataclass(frozen=True)
class _Search:
    """For R, at a given N."""

    curve: Sequence[Point]
    frame: Plan
    steps: int
    """N."""
    price: Price
    budget: int

    def plan(self, refine: Sequence[int]) -> Plan:
        return replace(self.frame, refine=tuple(refine), refine_steps=self.steps)

    def leftover(self, refine: Sequence[int]) -> float:
        return leftover(self.curve, refine)

    def refine(self) -> tuple[int, ...]:
        """The best that was found; empty where none fits."""
        chosen: tuple[int, ...] = ()
        least = WORTH * self.leftover(())
        while True:
            here, cost = self.leftover(chosen), self.price(self.plan(chosen))
            added = {each: here - self.leftover(each) for each in self._affordable(self._longer(chosen))}
            added = {each: gain for each, gain in added.items() if gain > least}
            if not added:
                return self._moved(chosen)
            chosen = max(added, key=lambda each: added[each] / (self.price(self.plan(each)) - cost))

    def _moved(self, chosen: tuple[int, ...]) -> tuple[int, ...]:
        while chosen:
            others = list(self._affordable(self._exchanged(chosen)))
            best = min(others, key=self.leftover, default=chosen)
            if not self.leftover(best) < self.leftover(chosen) * (1 - 1e-9):
                break
            chosen = best
        return chosen

    def _longer(self, chosen: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        for point in self.curve:
            if point.countdown not in chosen:
                yield tuple(sorted((*chosen, point.countdown), reverse=True))

    def _exchanged(self, chosen: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        for k in range(len(chosen)):
            yield from self._longer(chosen[:k] + chosen[k + 1 :])

    def _affordable(self, candidates: Iterator[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
        """Those that make a possible plan within the budget."""
        for refine in candidates:
            try:
                plan = self.plan(refine)
            except PlanError:
                continue
            if self.price(plan) <= self.budget:
                yield refine
