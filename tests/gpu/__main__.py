"""The product on a GPU, proven in eight minutes: `python -m tests.gpu [--minutes 8] [--out FOLDER]`.

Parts in order of worth: whether the numbers are right, the backend, memory, speed, frames to the client. Each runs in a
process of its own with a time limit, prints a line for each finding at once, and leaves FOLDER/PART.json, so that a run
that is cut off has told all that it knew. Without a GPU the same code runs in miniature on the processor.

`python -m tests.gpu pack FOLDER` downloads what a machine without a network may lack (wheels for Python 3.12 on Linux)
and says how to put it in use there. Exit codes: 0 all holds · 1 something does not · 2 usage.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path

from elevator.arguments import ArgumentParser, until_unread
from tests.gpu import pack
from tests.gpu.parts import PARTS, Setting, run_all, run_checks


def main(arguments: list[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["pack"]:
        return pack.main(words[1:])
    parser = ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together (default: 8)")
    parser.add_argument("--out", type=Path, help="folder for the findings (default: a new one, which is named)")
    parser.add_argument("--device", default="auto", help="cuda:0, cpu and so on (default: the GPU, or the processor)")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], help="these parts alone")
    parser.add_argument("--small", action="store_true", help="in miniature, as without a GPU")
    parser.add_argument("--part", choices=[part.name for part in PARTS], help="this part in this process")
    parser.add_argument("--seconds", type=float, default=600.0, help="when the process of --part is ended")
    options = parser.parse_args(words)
    out = options.out or Path(tempfile.mkdtemp(prefix="gpu_"))
    out.mkdir(parents=True, exist_ok=True)
    if options.part:
        return _part(options.part, options.device, options.small, out, options.seconds)
    parts = [part for part in PARTS if part.name in (options.only or [each.name for each in PARTS])]
    failed = run_all(parts, options.minutes, options.device, options.small, out)
    print(f"\n{'All holds.' if not failed else f'{failed} of {len(parts)} parts do not hold.'} Findings: {out}")
    return 1 if failed else 0


def _part(name: str, device: str, small: bool, out: Path, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    from elevator import devices  # torch comes in here: the process that waits does without it

    device = devices.resolved(device)
    place = f"{device}:0" if device == "cuda" else device
    if not devices.is_gpu(place):
        small = True
        import torch

        torch.set_num_threads(1)  # small networks are fastest so
    checks = importlib.import_module(f"tests.gpu.{name}").CHECKS
    return 1 if run_checks(name, checks, Setting(place, small, out, deadline)) else 0


if __name__ == "__main__":
    sys.exit(until_unread(main))
