"""What is measured of each clip: names, units, and which way is better. Importing this imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One column of the tables."""

    name: str
    title: str
    digits: int = 2
    better: str = ""
    """`more`, `less`, or nothing where neither is."""
    world: bool = False
    """Whether it needs the small world's truth."""
    paired: bool = True
    """Whether differences of it are told."""


DISTANCE = "feature_distance"
"""Of an arm's frames as a set: the Fréchet distance of the judge's features to those of true renders."""

MEASURES: tuple[Measure, ...] = (
    Measure(DISTANCE, "feature distance", 1, "less", world=True),
    Measure("sharpness", "sharpness, of true renders'", 2, world=True),
    Measure("subject", "subject", 3, "more", world=True),
    Measure("background", "background", 3, "more", world=True),
    Measure("motion", "motion", 3, "more", world=True),
    Measure("warp_error", "warp error", 2, "less"),
    Measure("frame_difference", "flicker", 2),
    Measure("flow", "flow, px", 2),
    Measure("high_frequency_share", "high-frequency share", 3, "less"),
    Measure("path_error", "path error, px", 2, "less", world=True),
    Measure("jitter", "jitter, px", 2, "less", world=True),
    Measure("seconds", "seconds", 1, "less", paired=False),
    Measure("calls", "network calls", 0, "less", paired=False),
    Measure("tflop", "TFLOP", 2, "less", paired=False),
)
BY_NAME = {measure.name: measure for measure in MEASURES}

LEGEND = """\
Feature distance: Fréchet distance of the judge's features between an arm's frames and true renders of the same scenes,
four frames a clip. It is biased upwards for few frames (arXiv 1911.07023); all arms of a table have as many, and
*true renders* below is what true frames with other accidents of place, size and light reach. Sharpness: mean Laplacian,
relative to the true render's. Subject, background: share of frames in which the judge reads the prompt's; motion: share
of clips in which the tracker does, of those whose background it can tell from the subject. Flicker: mean difference of
neighbouring frames, levels of 0…255; read it beside the flow, for a frozen clip has none. Warp error: what is left of
it where motion is taken out. High-frequency share: of the temporal energy. Path error: how far the tracked subject is
from the known path, its mean offset taken out (RMS); jitter: its mean second difference, which is 0 on a straight path.
Seconds are of the processor, on a GPU of the clock. In brackets: the 95 % interval of a bootstrap over prompts.
Differences are clip by clip, arm less the other, in bold where the interval excludes 0 and at least 8 prompts were
made. There are many, and one in twenty excludes 0 by chance.
"""
