"""The numbers of a study's tables, with intervals, and what they say of the paper's claims."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from . import statistics
from .arms import Claim, Table
from .measures import DISTANCE, MEASURES, Measure
from .records import Record
from .renders import CRISP, TWINS, read_renders
from .running import Cast, Known, Study
from .statistics import Clip, Interval, Truth

Row: TypeAlias = Mapping[str, Interval | None]
"""Measure → value."""


@dataclass(frozen=True)
class Verdict:
    """What was measured of a claim."""

    claim: Claim
    difference: Interval | None
    """Of the arm less the other; None: not measured."""

    @property
    def text(self) -> str:
        """Holds | does not hold | is not decided | not measured."""
        if self.difference is None:
            return "not measured"
        if not self.difference.excludes_zero:
            return "is not decided"
        return "holds" if (self.difference.value > 0) == self.claim.more else "does not hold: it is the other way round"


class Figures:
    """Of everything that was measured."""

    def __init__(self, study: Study, found: Cast, known: Known) -> None:
        self.study, self.found = study, found
        self._records: dict[str, list[Record]] = defaultdict(list)
        for record in known.values():
            self._records[record.key].append(record)
        self._truths: dict[str, Truth] = {}
        self._clips: dict[tuple[str, str], set[Clip]] = {}
        self._rows: dict[tuple[str, str, str], Row] = {}
        self._differences: dict[tuple[str, str, str, str], Row] = {}

    def records(self, table: Table, t2v: str, arm: str) -> list[Record]:
        """Of an arm's clips, those that all arms of the table have, but for arms of which none is made.

        So every row is of the same prompts and seeds, also before all are made: a Fréchet distance falls with their
        number.
        """
        clips = self.clips(table, t2v)
        return [record for record in self._made(t2v, arm) if (record.prompt, record.seed) in clips]

    def clips(self, table: Table, t2v: str) -> set[Clip]:
        """Prompts and seeds that a table's rows are of; computed once."""
        key = (table.name, t2v)
        if key not in self._clips:
            wanted = {(prompt.text, seed) for prompt, seed in self.study.clips(table.seeds)}
            made = [{(each.prompt, each.seed) for each in self._made(t2v, arm.name)} & wanted for arm in table.arms]
            self._clips[key] = set.intersection(*(clips for clips in made if clips)) if any(made) else set()
        return self._clips[key]

    def _made(self, t2v: str, arm: str) -> list[Record]:
        recipe = self.found.recipes.get((t2v, arm))
        return [] if recipe is None else self._records.get(recipe.key, [])

    @cached_property
    def measures(self) -> list[Measure]:
        """Those that any clip has."""
        some = [record for records in self._records.values() for record in records]
        names = {name for record in some for name in record.numbers} | {"seconds", "calls", "tflop"}
        names |= {DISTANCE} if any(record.features for record in some) else set()
        return [measure for measure in MEASURES if measure.name in names]

    def row(self, table: Table, t2v: str, arm: str) -> Row:
        """The means of an arm; computed once."""
        key = (table.name, t2v, arm)
        if key not in self._rows:
            self._rows[key] = {each.name: self._value(each, table, t2v, arm) for each in self.measures}
        return self._rows[key]

    def differences(self, table: Table, t2v: str, arm: str, than: str) -> Row:
        """Of an arm less another one, clip by clip; computed once."""
        key = (table.name, t2v, arm, than)
        if key not in self._differences:
            paired = [each for each in self.measures if each.paired]
            self._differences[key] = {each.name: self._difference(each.name, table, t2v, arm, than) for each in paired}
        return self._differences[key]

    def verdicts(self, table: Table, t2v: str) -> list[Verdict]:
        """What became of the table's claims."""
        return [
            Verdict(claim, self.differences(table, t2v, claim.arm, claim.than).get(claim.measure))
            for claim in table.claims
        ]

    def floor(self) -> Interval | None:
        """The feature distance of true renders with other accidents, as many frames as one seed's clips have."""
        renders = read_renders().features
        texts = [prompt.text for prompt in self.study.prompts if prompt.text in renders[TWINS]]
        return statistics.distance({(text, 0): renders[TWINS][text] for text in texts}, self._truth(CRISP))

    def _truth(self, look: str) -> Truth:
        if look not in self._truths:
            self._truths[look] = Truth(read_renders().features[look])
        return self._truths[look]

    def _value(self, measure: Measure, table: Table, t2v: str, arm: str) -> Interval | None:
        records = self.records(table, t2v, arm)
        if measure.name == DISTANCE:
            return statistics.distance(statistics.features_of(records), self._truth(self._look(t2v, arm)))
        return statistics.mean(statistics.numbers_of(records, measure.name))

    def _difference(self, name: str, table: Table, t2v: str, arm: str, than: str) -> Interval | None:
        ours, theirs = self.records(table, t2v, arm), self.records(table, t2v, than)
        if name != DISTANCE:
            return statistics.difference(statistics.numbers_of(ours, name), statistics.numbers_of(theirs, name))
        look = self._look(t2v, arm)
        if look != self._look(t2v, than):
            return None  # distances to different renders are not compared
        features = (statistics.features_of(ours), statistics.features_of(theirs))
        return statistics.distance_difference(*features, self._truth(look))

    def _look(self, t2v: str, arm: str) -> str:
        """Of the true renders that an arm's frames are compared with."""
        recipe = self.found.recipes.get((t2v, arm))
        return CRISP if recipe is None else recipe.arm.style or CRISP
