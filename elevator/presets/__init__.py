"""Named plans for each T2V: `published` (exact), `balanced`, `fast` and `draft`. Imports no torch.

A file `NAME.toml` of this folder is for one kind of T2V. A model's folder may hold a `presets.toml` of its own.
Each table is a preset: `about`, one line, and settings of `Plan`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import PlanError
from ..plan import Plan

FILE_NAME = "presets.toml"
"""The presets in a model's own folder."""
FOLDER = Path(__file__).parent
T2VS = ("zeroscope", "lavie", "animatelcm", "animatediff", "lightning")
"""Kinds of T2Vs that have presets here."""


@dataclass(frozen=True)
class Preset:
    """A plan with a name's meaning."""

    about: str
    """One line."""
    plan: Plan


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
        try:
            found[name] = Preset(about, Plan.from_mapping(table))
        except PlanError as error:
            raise PlanError(f"The preset {name} in {path} is impossible: {error}") from error
    return found


def presets_for(t2v: str) -> Mapping[str, Preset]:
    """The presets of a kind of T2V, one of `T2VS`. Raises PlanError for another."""
    if t2v not in T2VS:
        raise PlanError(f"There are no presets for {t2v!r}; choose one of {', '.join(T2VS)}.")
    return read_presets(FOLDER / f"{t2v}.toml")


def presets_of(model: Path, kind: str) -> Mapping[str, Preset]:
    """Those in the T2V's own folder, or else of its kind."""
    own = (model if model.is_dir() else model.parent) / FILE_NAME
    return read_presets(own) if own.is_file() else presets_for(kind)
