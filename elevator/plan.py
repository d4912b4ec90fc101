"""The settings of one sampling chain: frozen, validated, free of torch.

A *countdown* s = S − i names the i-th of S timesteps from the end (published name: ``stable_steps``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from .errors import PlanError

LOWPASS_METHODS = ("gaussian", "temporal", "butterworth", "ideal", "box", "none")


@dataclass(frozen=True)
class LowPass:
    """The filter between T2I and T2V; cut-offs in units of Nyquist."""

    method: str = "gaussian"  #: gaussian (published) | temporal | butterworth | ideal | box | none
    d_s: float = 1.0  #: spatial cut-off
    d_t: float = 0.4  #: temporal cut-off
    order: int = 4  #: of butterworth

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
class Calls:
    """How many network calls a plan makes. Guided ones run both prompts, the others one."""

    painting: int  #: T2I, guided
    correction: int  #: T2I, one prompt
    inverting: int  #: T2I, one prompt
    refining: int  #: T2V, guided

    @property
    def total(self) -> int:
        return self.painting + self.correction + self.inverting + self.refining


@dataclass(frozen=True)
class Plan:
    """One chain. Defaults are the published settings for ZeroScope (VideoElevator, implementation details).

    Raises PlanError, at construction, if the settings contradict each other; nothing is clamped.
    """

    presets: ClassVar[Mapping[str, Plan]]

    steps: int = 50  #: S
    refine: tuple[int, ...] = (45, 35, 25, 15)  #: R, the countdowns at which the T2V takes over, descending
    refine_steps: int = 8  #: N, T2V steps per refinement
    alpha: float = 1.5  #: a, how alike the frames' starting noise is
    guidance: float = 7.5  #: w of the T2I
    video_guidance: float = 7.5  #: w of the T2V; 1 runs it on the prompt alone
    lowpass: LowPass = field(default_factory=LowPass)

    def __post_init__(self) -> None:
        _integer("steps", self.steps, 1)
        _integer("refine_steps", self.refine_steps, 1)
        for name in ("alpha", "guidance", "video_guidance"):
            _number(name, getattr(self, name))
        if not isinstance(self.lowpass, LowPass):
            raise PlanError("lowpass must be a LowPass; give method, d_s and d_t.")
        self._check_guidance()
        self._check_refine()

    def _check_guidance(self) -> None:
        if self.alpha < 0:
            raise PlanError(f"alpha is {self.alpha}; choose 0 (unrelated frames) or more.")
        for name in ("guidance", "video_guidance"):
            if getattr(self, name) < 1:
                raise PlanError(f"{name} is {getattr(self, name)}; choose 1 or more.")
        if self.refine and self.guidance == 1:
            raise PlanError(
                "guidance is 1, but refining corrects a guided chain; choose a guidance above 1 or an empty refine."
            )

    def _check_refine(self) -> None:
        if isinstance(self.refine, str) or not isinstance(self.refine, tuple):
            raise PlanError(f"refine is {self.refine!r}; give a tuple of whole numbers such as (45, 35).")
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
        """A plan from plain data such as a TOML table; ``lowpass`` is a table of its own.

        Absent keys have the defaults above. Raises PlanError naming keys that are not settings.
        """
        known = _known(cls, settings, "the plan")
        if isinstance(known.get("refine"), list):
            known["refine"] = tuple(known["refine"])
        if isinstance(known.get("lowpass"), Mapping):
            known["lowpass"] = LowPass(**_known(LowPass, known["lowpass"], "lowpass"))
        return cls(**known)

    def refines_at(self, i: int) -> bool:
        """Whether the T2V takes over after step i."""
        return self.steps - i in self.refine

    def filters_at(self, i: int) -> bool:
        """Whether the clean latents of refining step i are low-passed: at all refinements but the last."""
        return self.steps - i != self.refine[-1]

    def calls(self) -> Calls:
        """Network calls of the chain, counted without running it (method: cost table)."""
        correction = inverting = 0
        for countdown, following in zip(self.refine, (*self.refine, 0)[1:], strict=True):
            inverting += countdown - 1
            # The path has countdown − 1 points and each correction uses one up, two being needed;
            # the refining step that follows drops its result, so it makes none.
            correction += max(min(countdown - following - 1, countdown - 2), 0)
        return Calls(self.steps, correction, inverting, len(self.refine) * self.refine_steps)


def _known(cls: type, settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    names = [f.name for f in fields(cls)]
    unknown = [key for key in settings if key not in names]
    if unknown:
        raise PlanError(f"{where} has no setting {', '.join(map(repr, unknown))}; use {', '.join(names)}.")
    return dict(settings)


def _integer(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise PlanError(f"{name} is {value!r}; give a whole number.")
    if value < least:
        raise PlanError(f"{name} is {value}; choose {least} or more.")


def _number(name: str, value: object) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise PlanError(f"{name} is {value!r}; give a finite number.")


Plan.presets = {
    "zeroscope": Plan(),
    "lavie": Plan(refine=(45, 35, 30, 25, 20, 15), alpha=1.0, lowpass=LowPass(d_t=0.5)),
    "animatelcm": Plan(
        steps=30, refine=(26, 21, 15, 9), refine_steps=6, alpha=0.5, video_guidance=2.0, lowpass=LowPass(d_t=0.6)
    ),
}
