"""What the study compares, as data: ways of making a clip, the tables they stand in, and what the paper claims of them.

Source of claims: VideoElevator (arXiv 2403.05438), sections 4.2 and 4.3. Importing this imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..plan import Plan

ELEVATED, T2V_ALONE, T2I_ALONE = "elevated", "t2v", "t2i"
"""Ways of making a clip: the chain; the T2V without the T2I; the T2I on each frame by itself, with noise of its own."""


@dataclass(frozen=True)
class Arm:
    """One way of making a clip with a pair of models."""

    name: str
    """In tables and files."""
    way: str = ELEVATED
    preset: str = "published"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the preset's plan, other values."""
    first: int | None = None
    """How many of the plan's refinements are left, the noisiest first; None: all."""
    style: str | None = None
    """An embedded LoRA, at the weight that it ships with."""
    few_steps: bool = False
    """Whether the T2I is the embedded one with the LoRA that distils it to a few steps."""
    frames: int | None = None
    """None: as many as the study's clips have."""
    schedule: str | None = None
    """The T2V behaves as if it had been trained on this schedule (`elevator.chain.schedule.KNOWN`); None: its own."""

    def plan(self, presets: Mapping[str, Any]) -> Plan:
        """The plan, from a T2V's presets. Raises PlanError where it is impossible for this T2V."""
        plan: Plan = presets[self.preset].plan
        settings = dict(self.settings)
        if self.first is not None:
            settings["refine"] = list(settings.get("refine", plan.refine))[: self.first]
        if settings.get("refine") == []:
            settings.setdefault("refine_steps", 1)
        return plan.changed(settings)


@dataclass(frozen=True)
class Claim:
    """What the paper, or its site's clips, say of two arms."""

    text: str
    arm: str
    than: str
    measure: str
    """A name of `measures.MEASURES`."""
    more: bool
    """Whether the arm has more of it than the other."""
    source: str = "The paper"
    """Who says it."""


@dataclass(frozen=True)
class Table:
    """Arms side by side."""

    name: str
    title: str
    shows: str
    """One sentence."""
    arms: tuple[Arm, ...]
    against: str
    """The arm that the others are compared with, clip by clip."""
    claims: tuple[Claim, ...] = ()
    seeds: int = 1
    """How many clips of each prompt."""
    t2vs: int | None = None
    """With how many of the T2Vs, the first ones; None: all. What takes long, one has to stand for."""


ALONE = Arm("T2V alone", T2V_ALONE)
PER_FRAME = Arm("T2I per frame", T2I_ALONE)
PUBLISHED = Arm("published")
PRESETS = (
    *(Arm(name, preset=name) for name in ("balanced", "fast", "draft")),
    Arm("turbo", preset="turbo", few_steps=True),
)
STYLED = tuple(Arm(name, style=name) for name in ("sketch", "pixel_art", "neon"))
LONG: dict[str, Any] = {"steps": 50, "refine": [45, 35, 25, 15], "refine_steps": 8}
"""The paper's steps, for models whose own plan is shorter."""


def _refining(prefix: str, settings: Mapping[str, Any]) -> tuple[Arm, ...]:
    few = (Arm(f"{prefix}R = first {count}", settings=settings, first=count) for count in (1, 2, 3))
    return Arm(f"{prefix}R = []", settings=settings, first=0), *few, Arm(f"{prefix}R = all", settings=settings)


def _steps(prefix: str, settings: Mapping[str, Any]) -> tuple[Arm, ...]:
    return tuple(Arm(f"{prefix}N = {n}", settings={**settings, "refine_steps": n}) for n in (1, 2, 4, 8, 10))


def _long(frames: int) -> Arm:
    settings = {"window": 16, "overlap": 8} if frames > 16 else {}
    return Arm(f"{frames} frames", frames=frames, settings=settings)


TABLES: tuple[Table, ...] = (
    Table(
        "baselines",
        "Baselines",
        "Each model alone, the chain as published, the shorter presets and the styles.",
        (ALONE, PER_FRAME, PUBLISHED, *PRESETS, *STYLED),
        ALONE.name,
        (
            Claim("frames are better than the T2V's alone", "published", ALONE.name, "feature_distance", False),
            Claim("the T2I's sharpness reaches the clip", "published", ALONE.name, "sharpness", True),
            Claim("the subject of the prompt is seen more often", "published", ALONE.name, "subject", True),
            Claim("clips are steadier than the T2I's frames", "published", PER_FRAME.name, "warp_error", False),
            Claim("and change less from frame to frame", "published", PER_FRAME.name, "high_frequency_share", False),
            Claim("the T2V's motion reaches the clip", "published", PER_FRAME.name, "motion", True),
        ),
        seeds=2,
    ),
    Table(
        "lowpass",
        "Low-pass between T2I and T2V",
        "What the filter of the T2I's clean latents does: none, over time alone, over space and time, as published.",
        (
            Arm("no low-pass", settings={"lowpass": "none"}),
            Arm("temporal", settings={"lowpass": "temporal"}),
            Arm("spatial-temporal", settings={"lowpass": "spatial_temporal"}),
            PUBLISHED,
        ),
        "no low-pass",
        (
            Claim("a temporal low-pass lowers the flicker", "temporal", "no low-pass", "frame_difference", False),
            Claim("a temporal low-pass lowers the warp error", "temporal", "no low-pass", "warp_error", False),
            Claim("the published one lowers the warp error", "published", "no low-pass", "warp_error", False),
            Claim("filtering space too costs sharpness", "spatial-temporal", "temporal", "sharpness", False),
        ),
    ),
    Table(
        "way_back",
        "Way back to the T2I's noise",
        "How the T2V's clean latents are brought back to the T2I's level of noise.",
        (
            Arm("same noise", settings={"way_back": "same_noise"}),
            Arm("random noise", settings={"way_back": "random_noise"}),
            Arm("blend", settings={"way_back": "blend", "blend": 1.0}),
            PUBLISHED,
        ),
        "published",
        (
            Claim("the same noise freezes the clip", "same noise", "published", "flow", False),
            Claim("random noise breaks the consistency", "random noise", "published", "warp_error", True),
            Claim("random noise makes clips flicker", "random noise", "published", "high_frequency_share", True),
        ),
    ),
    Table(
        "refining",
        "Refining set",
        "How many of the T2V's refinements are needed, from the noisiest on, at the preset's own number of steps.",
        _refining("", {}),
        "R = []",
        (
            Claim("refining lowers the warp error", "R = all", "R = []", "warp_error", False),
            Claim("refining makes clips steady", "R = all", "R = []", "high_frequency_share", False),
            Claim("the second and third lower it further", "R = first 3", "R = first 1", "warp_error", False),
            Claim("and make clips steadier", "R = first 3", "R = first 1", "high_frequency_share", False),
            Claim("the fourth lowers it once more", "R = all", "R = first 3", "warp_error", False),
        ),
    ),
    Table(
        "refining_50",
        "Refining set, at the paper's 50 steps",
        "The same with the paper's countdowns 45, 35, 25, 15 of 50 steps and 8 steps in each refinement.",
        _refining("50: ", LONG),
        "50: R = []",
        (
            Claim("refining lowers the warp error", "50: R = all", "50: R = []", "warp_error", False),
            Claim("the second and third lower it further", "50: R = first 3", "50: R = first 1", "warp_error", False),
            Claim("the fourth lowers it once more", "50: R = all", "50: R = first 3", "warp_error", False),
        ),
        t2vs=1,
    ),
    Table(
        "refine_steps",
        "Steps in each refinement",
        "What N does, at the preset's own number of steps; an N for which too few steps are left is not possible.",
        _steps("", {}),
        "N = 1",
        (Claim("small N leaves clips near static", "N = 1", "N = 4", "flow", False),),
    ),
    Table(
        "refine_steps_50",
        "Steps in each refinement, at the paper's 50 steps",
        "What N does with the paper's countdowns of 50 steps.",
        _steps("50: ", LONG),
        "50: N = 1",
        (Claim("small N leaves clips near static", "50: N = 1", "50: N = 8", "flow", False),),
        t2vs=1,
    ),
    Table(
        "arithmetic",
        "Quality against arithmetic",
        "What the correction, the grid of the inversion, reused features and the presets buy and save.",
        (
            PUBLISHED,
            Arm("no correction", settings={"correction": False}),
            Arm("inversion in 8", settings={"inversion_steps": 8}),
            Arm("inversion in 4", settings={"inversion_steps": 4}),
            Arm("inversion in 2", settings={"inversion_steps": 2}),
            Arm("cache 2", settings={"cache_interval": 2}),
            Arm("cache 3", settings={"cache_interval": 3}),
            Arm("blend", settings={"way_back": "blend", "blend": 1.0}),
            Arm("blend, cache 2", settings={"way_back": "blend", "blend": 1.0, "cache_interval": 2}),
            *PRESETS[1:],
        ),
        "published",
        (
            Claim(
                "the correction makes frames better",
                "published",
                "no correction",
                "feature_distance",
                False,
                "Expected",
            ),
            Claim(
                "fewer inversion steps cost steadiness", "inversion in 4", "published", "warp_error", True, "Expected"
            ),
        ),
    ),
    Table(
        "matching",
        "Matching of noise levels",
        "A T2V whose schedule differs from the T2I's (LaVie's): its levels by step number, as published, or by SNR.",
        (
            Arm("by index", schedule="lavie"),
            Arm("by SNR", schedule="lavie", settings={"matching": "snr"}),
        ),
        "by index",
        (Claim("matching by SNR makes frames better", "by SNR", "by index", "feature_distance", False, "Expected"),),
        t2vs=1,
    ),
    Table(
        "length",
        "Length",
        "Clips longer than the T2V was trained for, in windows of 16 frames that share 8 with their neighbours.",
        tuple(_long(frames) for frames in (16, 24, 32, 64)),
        "16 frames",
        t2vs=1,
    ),
)
TABLE_NAMES = tuple(table.name for table in TABLES)
MAIN = (ALONE, PER_FRAME, PUBLISHED, STYLED[0])
"""Of the main picture, from left to right."""
MAIN_TITLES = ("T2V alone", "T2I per frame", "elevated", "elevated, sketch")
