"""Finds a plan for two models that nobody has tuned: where in the chain the T2V is to be heard, and for how many steps.

A few clips are probed: at every step the clean predictions of both models are compared in what is motion. The plan is
a preset with other refinements, within a budget of arithmetic, in the words of a style's file and of this command line.
For other models than the embedded ones give --prompts; those that say how things move tell most. On the embedded pairs
such plans lost motion that presets made by hand keep (docs/SAMPLER.md): look at clips before you use one.

Exit codes: 0 done · 1 a sentence on standard error says what to change · 2 the command is not understood ·
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arguments import ArgumentParser
from ..errors import ElevatorError, RequestError
from . import values
from .clip_options import FRAMES, sources_of
from .options import add_models
from .shared import add

if TYPE_CHECKING:
    from ..calibration.calibrating import Calibrator

COMMAND = "calibrate"
DONE, TO_CHANGE, INTERRUPTED = 0, 1, 130
PROMPTS = 3
"""How many of our own are probed."""
ROW = "{:>9} {:>8} {:>9} {:>9} {:>10} {:>6} {:>6}  {}"


def is_meant(words: Sequence[str]) -> bool:
    """Whether a command line is this command. A clip with the prompt "calibrate" has its prompt behind its options."""
    return bool(words) and words[0] == COMMAND


def main(words: Sequence[str]) -> int:
    """Probe, choose and tell. Returns the exit code."""
    grammar = parser()
    given = vars(grammar.parse_args(words))
    if missing := [f"--{name}" for name in ("t2i", "t2v") if name not in given]:
        grammar.error(f"{' and '.join(missing)} must be given")
    try:
        _run(given)
    except ElevatorError as error:
        print(error, file=sys.stderr)
        return TO_CHANGE
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    return DONE


def _run(given: Mapping[str, Any]) -> None:
    out: Path | None = given.get("out")
    if out is not None and out.exists() and "overwrite" not in given:
        raise RequestError(f"{out} is there already; choose another --out, or replace it with --overwrite.")
    from tqdm import tqdm  # type: ignore[import-untyped]

    ready = _calibrator(given)
    clips = f"{ready.clips:.1f} clips of the preset {ready.reference}"
    print(f"Probing {len(ready.prompts)} prompts in {ready.calls} network calls, as {clips}.", file=sys.stderr)
    interval = 0.5 if sys.stderr.isatty() else 60
    with tqdm(total=ready.calls, disable=given.get("quiet", False), mininterval=interval, leave=False) as bar:
        told = as_json(given, ready, bar.update)
    text = json.dumps(told, indent=1)
    print(text if "json" in given else as_text(told))  # first, so that minutes of work are not lost with a full disk
    if out is not None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text + "\n", "utf-8")
        except OSError as error:
            raise RequestError(f"{out} cannot be written ({error.strerror}); choose another --out.") from error


def as_json(given: Mapping[str, Any], ready: Calibrator, told: Any) -> dict[str, Any]:
    """What was asked for and found, as plain data."""
    from dataclasses import asdict

    import msgspec

    found = ready.run(told)
    settings = " ".join(
        f"--set {key}={json.dumps(value, separators=(',', ':'))}" for key, value in found.settings.items()
    )
    return {
        "sources": msgspec.to_builtins(sources_of(given)),
        "size": asdict(ready.size),
        "prompts": [[prompt.text, prompt.seeds[0]] for prompt in ready.prompts],
        "preset": found.preset,
        "plan": found.settings,
        "options": f"--preset {found.preset} {settings}",
        "reference": found.reference,
        "budget": found.budget,
        "share": round(found.share, 4),
        "preset_share": round(found.preset_share, 4),
        "probing_clips": round(found.probing, 2),
        "curve": [_rounded(asdict(point)) for point in found.curve],
    }


def _rounded(point: Mapping[str, Any]) -> dict[str, Any]:
    def short(value: Any) -> Any:
        return round(value, 4) if isinstance(value, float) else value

    return {
        name: [short(each) for each in value] if isinstance(value, tuple) else short(value)
        for name, value in point.items()
    }


def as_text(told: Mapping[str, Any]) -> str:
    """The curve as a table, and the plan in a style's words and in those of a command line."""
    refine = told["plan"]["refine"]
    lines = [ROW.format("countdown", "timestep", "T2I dB", "T2V dB", "difference", "kept", "news", "").rstrip()]
    for point in told["curve"]:
        numbers = [f"{point[name]:.1f}" for name in ("snr", "video_snr")]
        numbers += [f"{point[name]:.2f}" for name in ("difference", "kept", "news")]
        mark = "refine" if point["countdown"] in refine else ""
        lines.append(ROW.format(point["countdown"], point["timestep"], *numbers, mark).rstrip())
    table = [f"{key} = {json.dumps(value)}" for key, value in told["plan"].items()]
    share, own, than = told["share"], told["preset_share"], told["reference"]
    return "\n".join(
        [
            *lines,
            "",
            f"The plan takes {share:.2f} of the arithmetic of {than}; the preset {told['preset']} as it is, {own:.2f}.",
            "In a style's file:",
            "",
            f'preset = "{told["preset"]}"',
            "[plan]",
            *table,
            "",
            f"In a command line: {told['options']}",
        ]
    )


def _calibrator(given: Mapping[str, Any]) -> Calibrator:
    """What the options ask for, with its models loaded. Raises ElevatorError."""
    import torch

    from .. import devices
    from ..calibration.calibrating import BUDGET, calibrator
    from ..calibration.probing import Size
    from ..defaults import native_size
    from ..models.loading import load_models
    from ..study.measuring import knows_world
    from ..study.prompts import calibration_prompts, read_prompts

    sources, (count, file) = sources_of(given), given.get("prompts", (PROMPTS, None))
    if file is None and not knows_world(sources.t2i):
        raise RequestError("Our own prompts are of the embedded models' world; give --prompts FILE.")
    prompts = calibration_prompts()[:count] if file is None else read_prompts(file)
    device = devices.resolved(given.get("device", "auto"))
    dtype = getattr(torch, given["dtype"]) if "dtype" in given else devices.usual_dtype(device)
    models = load_models(sources, device, dtype, offload=given.get("offload", False))
    width, height = given.get("size", (native_size(models), native_size(models)))
    size = Size(given.get("frames", min(FRAMES, models.max_frames or FRAMES)), height, width)
    return calibrator(models, prompts, size, given.get("budget", BUDGET), given.get("preset"))


def parser() -> argparse.ArgumentParser:
    """This command's; what is not given is not in its namespace either."""
    made = ArgumentParser(
        prog=f"elevator {COMMAND}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add_models(made.add_argument_group("models"))
    asked = made.add_argument_group("calibration")
    asked.add_argument(
        "--budget",
        type=values.number,
        metavar="SHARE",
        help="of the arithmetic of balanced, or of the first preset where there is no such, that the plan may take "
        "(default: 0.8)",
    )
    add(asked, "--preset", " whose other settings stay (default: the dearest that the budget has room for)")
    asked.add_argument(
        "--prompts",
        type=values.prompts,
        metavar="N|FILE",
        help="the first N of our own for calibration, or a file: a prompt a line, or a JSON list of objects with a "
        f"text each (default: {PROMPTS})",
    )
    add(asked, "--frames", f" (default: {FRAMES}, or as many as the T2V makes, if fewer)")
    add(asked, "--size", " (default: the T2I's own)")
    running = made.add_argument_group("running")
    add(running, "--device", " (default: auto, which is a GPU where there is one)")
    running.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        help="of the networks (default: float16 on a GPU, float32 on the cpu)",
    )
    running.add_argument("--offload", action="store_true", help="keep only the running network on the device")
    running.add_argument("--json", action="store_true", help="tell all of it as one object")
    running.add_argument("--out", type=values.place, metavar="FILE", help="write that object to a file, too")
    running.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    add(running, "--quiet")
    return made
