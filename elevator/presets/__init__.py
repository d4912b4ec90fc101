"""Named plans for each T2V: `published` (exact), `balanced`, `fast` and `draft`, and `turbo` for few-step T2Is.

A file `NAME.toml` of this folder is for one kind of T2V. A model's folder may hold a `presets.toml` of its own.
Each table is a preset: `about`, one line, and settings of `Plan`; `few_steps = true` where it is for T2Is that were
distilled to a few steps. Imports no torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import PlanError
from ..plan import Plan

FILE_NAME = "presets.toml"
"""The presets in a model's own folder."""
TURBO = "turbo"
"""The preset for T2Is that were distilled to a few steps."""
EMBEDDED_GUIDANCE = 8.0
"""Guidance of T2Is that read it beside the timestep: about the middle of what LCMs were distilled with (arXiv
2310.04378, section 5)."""
FOLDER = Path(__file__).parent
T2VS = ("zeroscope", "lavie", "animatelcm", "animatediff", "lightning")
"""Kinds of T2Vs that have presets here."""


@dataclass(frozen=True)
class Preset:
    """A plan with a name's meaning."""

    about: str
    """One line."""
    plan: Plan
    few_steps: bool = False
    """Whether it is for T2Is that were distilled to a few steps; the others are for those that were not."""


def read_presets(path: Path) -> Mapping[str, Preset]:
    """The presets of a file, in its order. Raises PlanError, which names the file, if one is impossible."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PlanError(f"The presets in {path} cannot be read; copy the model's folder again.") from error
    except RecursionError:
        raise PlanError(f"The presets in {path} are nested too deeply; correct the file or delete it.") from None
    except UnicodeDecodeError as error:
        raise PlanError(f"The presets in {path} are not stored as UTF-8 text; save them so in the editor.") from error
    except ValueError as error:  # tomllib says all of it by this
        raise PlanError(f"The presets in {path} are not TOML ({error}); correct the file or delete it.") from error
    found: dict[str, Preset] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise PlanError(f"{name} in {path} is no table of settings; write [{name}] and the settings below it.")
        about = table.pop("about", "")
        if not isinstance(about, str):
            raise PlanError(f"The about of {name} in {path} is no text; write one line in quotes.")
        few_steps = table.pop("few_steps", False)
        if not isinstance(few_steps, bool):
            raise PlanError(f"The few_steps of {name} in {path} is neither true nor false; write one of them.")
        try:
            found[name] = Preset(about, Plan.from_mapping(table), few_steps)
        except PlanError as error:
            raise PlanError(f"The preset {name} in {path} is impossible: {error}") from error
    return found


def presets_for(t2v: str) -> Mapping[str, Preset]:
    """The presets of a kind of T2V, one of `T2VS`, for T2Is of all kinds. Raises PlanError for another."""
    if t2v not in T2VS:
        raise PlanError(f"There are no presets for {t2v!r}; choose one of {', '.join(T2VS)}.")
    return read_presets(FOLDER / f"{t2v}.toml")


def presets_of(
    model: Path, kind: str, *, few_steps: bool = False, embeds_guidance: bool = False
) -> Mapping[str, Preset]:
    """Those in the T2V's own folder, or else of its kind, that `fit` the T2I."""
    own = (model if model.is_dir() else model.parent) / FILE_NAME
    return fitting(read_presets(own) if own.is_file() else presets_for(kind), few_steps, embeds_guidance)


def fitting(presets: Mapping[str, Preset], few_steps: bool, embeds_guidance: bool = False) -> Mapping[str, Preset]:
    """The presets for T2Is that were distilled to a few steps, or those for the others.

    embeds_guidance: whether the T2I reads its guidance beside the timestep, as LCMs that are no LoRAs do.
    """
    found = {name: preset for name, preset in presets.items() if preset.few_steps is few_steps}
    if not embeds_guidance:
        return found
    return {
        name: replace(preset, plan=replace(preset.plan, guidance=EMBEDDED_GUIDANCE)) for name, preset in found.items()
    }


def default_of(names: Collection[str]) -> str:
    """The preset that is meant where none is named: `published`, or else the first."""
    return "published" if "published" in names or not names else next(iter(names))


def why_not(name: str, names: Iterable[str]) -> str:
    """Why there is no preset of this name among these, and what to choose: clauses."""
    if name == TURBO:
        return (
            "the preset turbo is for text-to-image models that were distilled to a few steps (LCM, Hyper-SD, "
            "Lightning, Turbo), and this one is not known to be; "
            f"choose one of {', '.join(names)}, or say with distilled how it was"
        )
    return f"there is no preset {name!r} here; choose one of {', '.join(names)}"
