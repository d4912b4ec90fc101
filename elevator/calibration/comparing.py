"""Holds a calibrated plan against presets made by hand, clip by clip, on prompts that were not probed.

PLAN is what `elevator calibrate --out PLAN` wrote. Clips, measures and intervals are the study's; clips that were made
are kept, and the same command goes on. The presets are the one that the budget is relative to and those that take at
most as much arithmetic as the budget. It leaves clips.jsonl and comparison.json, and says the differences.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..arguments import ArgumentParser
from ..errors import ElevatorError, RequestError
from ..sources import Sources
from ..study.arms import Arm, Table
from ..study.figures import Figures
from ..study.making import Machine, Recipes
from ..study.measures import BY_NAME
from ..study.measuring import knows_world
from ..study.prompts import StudyPrompt, calibration_prompts, read_prompts
from ..study.records import Records
from ..study.running import Cast, Study, commit, run
from ..study.statistics import Interval

CALIBRATED = "calibrated"
FILE = "comparison.json"


def study_of(
    plan: Mapping[str, Any], out: Path, prompts: list[StudyPrompt], seeds: int, processes: int
) -> tuple[Study, Cast]:
    """A study of one table: the plan, and presets made by hand. Raises ElevatorError."""
    sources = msgspec.convert(plan["sources"], Sources)
    size, machine, reference = plan["size"], Machine(), plan["reference"]
    pair = Recipes(sources, (size["width"], size["height"]), size["frames"], machine)
    hand = {name: pair.recipe(Arm(name, preset=name)) for name in pair.shapes.models.presets}
    most = plan["budget"] * hand[reference].tflop
    arms = [Arm(CALIBRATED, preset=plan["preset"], settings=plan["plan"]), hand[reference].arm]
    arms += [recipe.arm for name, recipe in hand.items() if recipe.tflop <= most and name != reference]
    recipes = {(sources.t2v, arm.name): hand.get(arm.name) or pair.recipe(arm) for arm in arms}
    table = Table("calibration", "", "", tuple(arms), reference, seeds=seeds)
    study = Study(
        out, sources.t2i, (sources.t2v,), (table,), tuple(prompts), seeds, size["frames"], None, machine, processes
    )
    return study, Cast(recipes, {}, {recipe.key: seeds for recipe in recipes.values()})


def held_out(plan: Mapping[str, Any], file: Path | None) -> list[StudyPrompt]:
    """The prompts of a file, or our own for calibration, without those that were probed. Raises RequestError."""
    if file is None and not knows_world(plan["sources"]["t2i"]):
        raise RequestError("Our own prompts are of the embedded models' world; give --prompts FILE.")
    probed = {text for text, _ in plan["prompts"]}
    every = calibration_prompts() if file is None else read_prompts(file)
    if left := [prompt for prompt in every if prompt.text not in probed]:
        return left
    raise RequestError("All of these prompts were probed; give others with --prompts FILE.")


def told(plan: Mapping[str, Any], study: Study, found: Cast) -> dict[str, Any]:
    """Means of every arm, and the plan's differences from each preset, with 95 % intervals."""
    figures, (t2v,) = Figures(study, found, Records(study.out).read()), study.t2vs
    (table,) = study.tables
    whole = found.recipes[t2v, plan["reference"]].tflop
    names = [arm.name for arm in table.arms]
    return {
        "commit": commit(),
        "seeds": study.seeds,
        "prompts": [[prompt.text, *prompt.seeds[: study.seeds]] for prompt in study.prompts],
        "shares": {name: round(found.recipes[t2v, name].tflop / whole, 4) for name in names},
        "clips": {name: len(figures.records(table, t2v, name)) for name in names},
        "values": {name: _plain(figures.row(table, t2v, name)) for name in names},
        "differences": {name: _plain(figures.differences(table, t2v, CALIBRATED, name)) for name in names[1:]},
    }


def _plain(row: Mapping[str, Interval | None]) -> dict[str, list[float]]:
    return {name: [round(x, 4) for x in (each.value, each.low, each.high)] for name, each in row.items() if each}


def as_text(found: Mapping[str, Any]) -> str:
    """A line for each measure of each difference; a star where the interval excludes 0."""
    lines = []
    for name, row in found["differences"].items():
        share = found["shares"][CALIBRATED] / found["shares"][name]
        lines.append(f"{CALIBRATED} less {name}, {share:.2f} of its arithmetic, {len(found['prompts'])} prompts:")
        for measure, (value, low, high) in row.items():
            title, digits = BY_NAME[measure].title, BY_NAME[measure].digits
            sure = " *" if low > 0 or high < 0 else ""
            lines.append(f"  {title:<28} {value:+.{digits}f} ({low:+.{digits}f} … {high:+.{digits}f}){sure}")
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    """Make what is missing, and tell the differences. Returns the exit code."""
    given = _parser().parse_args(words)
    try:
        try:
            plan = json.loads(given.plan.read_text("utf-8"))
            study, found = study_of(plan, given.out, held_out(plan, given.prompts), given.seeds, given.processes)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RequestError(f"{given.plan} is no plan of elevator calibrate --out; choose another.") from error
        run(study, found, given.quiet)
        result = told(plan, study, found)
    except ElevatorError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Interrupted. The clips in {given.out} are kept; the same command goes on.", file=sys.stderr)
        return 130
    (given.out / FILE).write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(as_text(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    made = ArgumentParser(
        prog="python -m elevator.calibration.comparing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("plan", type=Path, metavar="PLAN", help="what elevator calibrate --out wrote")
    made.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of everything")
    made.add_argument(
        "--prompts", type=Path, metavar="FILE", help="default: our own for calibration; probed ones count not"
    )
    made.add_argument("--seeds", type=int, default=1, metavar="N", help="of each prompt (default: 1)")
    made.add_argument("--processes", type=int, default=1, metavar="N", help="clips at once (default: 1)")
    made.add_argument("--quiet", action="store_true", help="show no progress")
    return made


if __name__ == "__main__":
    sys.exit(main())
