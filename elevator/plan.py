"""The settings of one sampling chain: frozen, validated, free of torch.

A *countdown* s = S − i names the i-th of S timesteps from the end (published name: `stable_steps`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .errors import PlanError
from .spans import Span, chunks, windows

LOWPASS_METHODS = ("gaussian", "temporal", "butterworth", "ideal", "box", "none")
WAYS_BACK = ("inversion", "random_noise", "same_noise", "blend")
MATCHINGS = ("index", "snr")
BLEND = 0.5
"""The T2V's part of the clean latents where a plan does not say it."""


@dataclass(frozen=True)
class LowPass:
    """The filter between T2I and T2V; cut-offs in units of Nyquist."""

    method: str = "gaussian"
    """Gaussian (published) | temporal | butterworth | ideal | box | none."""
    d_s: float = 1.0
    """Spatial cut-off."""
    d_t: float = 0.4
    """Temporal cut-off."""
    order: int = 4
    """Of butterworth."""

    def __post_init__(self) -> None:
        if self.method not in LOWPASS_METHODS:
            raise PlanError(f"lowpass method is {self.method!r}; choose one of {', '.join(LOWPASS_METHODS)}.")
        for name in ("d_s", "d_t"):
            _number(f"lowpass {name}", getattr(self, name))
            if getattr(self, name) <= 0:
                raise PlanError(
                    f"lowpass {name} is {getattr(self, name)}; choose a number above 0, or the method none."
                )
        _integer("lowpass order", self.order, 1)


@dataclass(frozen=True)
class Plan:
    """One chain. Defaults are the published settings for ZeroScope (VideoElevator, implementation details).

    Raises PlanError, at construction, if the settings contradict each other; nothing is clamped.
    """

    steps: int = 50
    """S."""
    refine: tuple[int, ...] = (45, 35, 25, 15)
    """R, the countdowns at which the T2V takes over, descending."""
    refine_steps: int = 8
    """N, T2V steps per refinement."""
    alpha: float = 1.5
    """A, how alike the frames' starting noise is."""
    guidance: float = 7.5
    """W of the T2I."""
    video_guidance: float = 7.5
    """W of the T2V; 1 runs it on the prompt alone."""
    lowpass: LowPass = field(default_factory=LowPass)
    way_back: str = "inversion"
    """How refined latents come back to the T2I's level of noise: by DDIM `inversion` (published); as clean latents
    with `random_noise` (the paper's ablation, and ConFiner's hand-over, arXiv 2408.13423); with the `same_noise` in
    every frame (ablation; freezes the clip); or as a `blend` of the T2V's clean latents and the T2I's with the noise
    that the T2I predicted (VideoGuide, arXiv 2410.04364)."""
    blend: float | None = None
    """The T2V's part in a blend, above 0 … 1; None: BLEND."""
    correction: bool | None = None
    """Whether the chain is kept on the inverted path (arXiv 2310.01506); None: wherever there is a whole path."""
    inversion_steps: int | None = None
    """At most so many in each inversion; None: every level."""
    matching: str = "index"
    """How the T2V's levels of noise are chosen: by the T2I's step number (published), or by `snr`."""
    cache_interval: int = 1
    """Every so many calls the T2I is run whole, and its deep features are reused in between (DeepCache, arXiv
    2312.00858); starts anew after each refinement. 1: always whole (published)."""
    eta: float = 0.0
    """Noise in the T2I's steps, 0 (DDIM) … 1 (DDPM)."""
    chunk: int | None = None
    """Frames in one T2I call, to save memory; None: all. Changes no result."""
    window: int | None = None
    """Frames in one T2V call; None: all."""
    overlap: int = 0
    """Frames that neighbouring windows share."""
    tile: int | None = None
    """Pixels of the tiles in which the VAE decodes a frame; None: whole frames."""

    def __post_init__(self) -> None:
        _integer("steps", self.steps, 1)
        _integer("refine_steps", self.refine_steps, 1)
        for name in ("alpha", "guidance", "video_guidance", "eta"):
            _number(name, getattr(self, name))
        if not isinstance(self.lowpass, LowPass):
            names = ", ".join(LOWPASSES)
            raise PlanError(f"lowpass is {self.lowpass!r}; choose one of {names}, or give method, d_s and d_t.")
        self._check_refine()
        self._check_way_back()
        self._check_guidance()
        self._check_spans()

    @property
    def corrects(self) -> bool:
        """Whether the chain is kept on the inverted path."""
        return self._has_path if self.correction is None else self.correction

    @property
    def _has_path(self) -> bool:
        """Whether inversions leave latents of every level behind, which a chain without noise can be kept on."""
        return self.way_back == "inversion" and self.inversion_steps is None and self.eta == 0

    def _check_guidance(self) -> None:
        if self.alpha < 0:
            raise PlanError(f"alpha is {self.alpha}; choose 0 (unrelated frames) or more.")
        if not 0 <= self.eta <= 1:
            raise PlanError(f"eta is {self.eta}; choose 0 (no noise in the steps) to 1.")
        for name in ("guidance", "video_guidance"):
            if getattr(self, name) < 1:
                raise PlanError(f"{name} is {getattr(self, name)}; choose 1 or more.")
        if self.refine and self.guidance == 1 and self.corrects:
            raise PlanError(
                "guidance is 1, but the correction is for a guided chain; choose a guidance above 1, "
                "an empty refine, or correction false."
            )

    def _check_way_back(self) -> None:
        _choice("way_back", self.way_back, WAYS_BACK)
        _choice("matching", self.matching, MATCHINGS)
        if self.correction is not None and not isinstance(self.correction, bool):
            raise PlanError(f"correction is {self.correction!r}; choose true or false.")
        if self.blend is not None:
            _number("blend", self.blend)
            if self.way_back != "blend":
                raise PlanError("blend is given, but nothing is blended; leave it out or set way_back to blend.")
            if not 0 < self.blend <= 1:
                raise PlanError(f"blend is {self.blend}; choose a number above 0, at most 1 (the T2V's alone).")
        if self.inversion_steps is not None:
            _integer("inversion_steps", self.inversion_steps, 1)
            if self.way_back != "inversion":
                raise PlanError(
                    "inversion_steps is given, but nothing is inverted; leave it out or set way_back to inversion."
                )
            if self.refine and self.inversion_steps >= self.refine[0] > 1:
                raise PlanError(
                    f"inversion_steps is {self.inversion_steps}, but no inversion has more than {self.refine[0] - 1} "
                    "steps; choose fewer or leave it out."
                )
        if self.correction and not self._has_path:
            raise PlanError(
                "correction follows the path of a whole inversion in a chain without noise; "
                "set it to false, or way_back to inversion without inversion_steps and eta."
            )

    def _check_spans(self) -> None:
        _integer("cache_interval", self.cache_interval, 1)
        _integer("overlap", self.overlap, 0)
        for name, least in (("chunk", 1), ("window", 1), ("tile", 64)):
            if getattr(self, name) is not None:
                _integer(name, getattr(self, name), least)
        if self.overlap and self.window is None:
            raise PlanError("overlap is given, but there are no windows; give a window too or leave overlap out.")
        if self.window is not None and self.overlap >= self.window:
            raise PlanError(
                f"overlap is {self.overlap}, but a window has {self.window} frames; choose fewer than that."
            )

    def _check_refine(self) -> None:
        if isinstance(self.refine, str) or not isinstance(self.refine, tuple):
            raise PlanError(f"refine is {self.refine!r}; give a list of whole numbers such as [45, 35].")
        for countdown in self.refine:
            _integer("a countdown in refine", countdown, 1)
            if countdown > self.steps:
                raise PlanError(
                    f"refine names countdown {countdown}, but there are only {self.steps} steps; "
                    f"choose {self.steps} or less."
                )
            if countdown < self.refine_steps:
                raise PlanError(
                    f"refine_steps is {self.refine_steps}, but at countdown {countdown} only "
                    f"{countdown} steps are left; lower refine_steps or raise the countdown."
                )
        if any(a <= b for a, b in zip(self.refine, self.refine[1:], strict=False)):
            raise PlanError(f"refine is {list(self.refine)}; list each countdown once, the largest first.")

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Plan:
        """A plan from plain data such as a TOML table; `lowpass` is a table of its own or a name.

        Absent keys have the defaults above; names of low-passes are those of LOWPASSES. Raises PlanError, which names
        keys that are not settings.
        """
        return cls(**_settings(settings))

    def changed(self, settings: Mapping[str, Any]) -> Plan:
        """This plan with other values of these settings, which `from_mapping` would take. Raises PlanError."""
        return replace(self, **_settings(settings))

    def refines_at(self, i: int) -> bool:
        """Whether the T2V takes over after step i."""
        return self.steps - i in self.refine

    def filters_at(self, i: int) -> bool:
        """Whether the clean latents of refining step i are low-passed: at all refinements but the last."""
        return self.steps - i != self.refine[-1]

    def inverts_to(self, i: int) -> tuple[int, ...]:
        """The steps whose levels an inversion after step i visits, cleanest first: S − 1 … i + 1, or some of them."""
        every = range(self.steps - 1, i, -1)
        count = min(self.inversion_steps or len(every), len(every))
        return tuple(every[-(-(k + 1) * len(every) // count) - 1] for k in range(count))

    def image_spans(self, frames: int) -> tuple[Span, ...]:
        """The chunks in which the T2I sees a clip."""
        return chunks(frames, self.chunk)

    def video_spans(self, frames: int) -> tuple[Span, ...]:
        """The windows in which the T2V sees a clip."""
        return windows(frames, self.window, self.overlap)


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data as the fields of a plan."""
    known = _known(Plan, settings, "the plan")
    if isinstance(known.get("refine"), list):
        known["refine"] = tuple(known["refine"])
    if isinstance(known.get("lowpass"), Mapping):
        known["lowpass"] = LowPass(**_known(LowPass, known["lowpass"], "lowpass"))
    elif isinstance(known.get("lowpass"), str):
        _choice("lowpass", known["lowpass"], tuple(LOWPASSES))
        known["lowpass"] = LOWPASSES[known["lowpass"]]
    return known


def _known(cls: type, settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    names = [f.name for f in fields(cls)]
    unknown = [key for key in settings if key not in names]
    if unknown:
        raise PlanError(f"{where} has no setting {', '.join(map(repr, unknown))}; use {', '.join(names)}.")
    return dict(settings)


def _choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise PlanError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")


def _integer(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise PlanError(f"{name} is {value!r}; give a whole number.")
    if value < least:
        raise PlanError(f"{name} is {value}; choose {least} or more.")


def _number(name: str, value: object) -> None:
    # Compared rather than asked: a whole number may be too large to be a float.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) <= sys.float_info.max:
        raise PlanError(f"{name} is {value!r}; give a finite number.")


LOWPASSES: Mapping[str, LowPass] = {
    "none": LowPass("none"),
    "published": LowPass(),
    "temporal": LowPass("temporal"),
    "spatial_temporal": LowPass(d_s=0.5),
}
"""The paper's ablations (section 4.3) by name; `published`, which it calls temporal, also damps space a little."""
