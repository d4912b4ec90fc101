"""Makes every table and picture of the paper, on the embedded models or on a pair of your own.

What was made is kept, one line a clip in clips.jsonl: the same command goes on where it was stopped. With other
models than the embedded ones give --prompts; then only what needs no truth is measured.

Exit codes: 0 done · 1 a sentence on standard error says what to change · 2 the command is not understood ·
130 interrupted; all clips that were finished are kept.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import ArgumentParser
from ..embedded import EMBEDDED
from ..errors import ElevatorError, RequestError
from ..study.arms import TABLE_NAMES, TABLES
from . import values
from .clip_options import FRAMES

if TYPE_CHECKING:
    from ..study.running import Study

COMMAND = "study"
DONE, TO_CHANGE, INTERRUPTED = 0, 1, 130


def is_meant(words: Sequence[str]) -> bool:
    """Whether a command line is this command. A clip with the prompt "study" has its prompt behind its options."""
    return bool(words) and words[0] == COMMAND


def main(words: Sequence[str]) -> int:
    """Make what is missing, and write the page. Returns the exit code."""
    given = parser().parse_args(words)
    try:
        return _run(_study(given), given)
    except ElevatorError as error:
        print(error, file=sys.stderr)
        return TO_CHANGE
    except OSError as error:
        print(f"{given.out} cannot be written ({error.strerror}); choose another --out.", file=sys.stderr)
        return TO_CHANGE
    except BrokenProcessPool:
        said = "A process that made clips has ended, as for too little memory; give fewer --processes and go on."
        print(said, file=sys.stderr)
        return TO_CHANGE
    except KeyboardInterrupt:
        print(f"Interrupted. The clips in {given.out} are kept; the same command goes on.", file=sys.stderr)
        return INTERRUPTED


def _run(study: Study, given: argparse.Namespace) -> int:
    from ..study import costing, page, plots, running
    from ..study.records import Records

    if not given.no_plots:
        plots.check()
    found = running.cast(study)
    records = Records(study.out)
    print(costing.told(study, found, records.read()), flush=True)
    if given.dry_run:
        return DONE
    if not given.page:
        running.run(study, found, given.quiet)
    print(page.write(study, found, records.read(), not given.no_plots))
    return DONE


def _study(given: argparse.Namespace) -> Study:
    """What the options ask for. Raises RequestError."""
    from .. import devices
    from ..study.making import Machine
    from ..study.measuring import knows_world
    from ..study.prompts import read_prompts
    from ..study.running import Study

    count, file = given.prompts if given.prompts is not None else (None, None)
    if file is None and not knows_world(given.t2i):
        raise RequestError("The study's own prompts are of the embedded models' world; give --prompts FILE.")
    t2vs = tuple(given.t2v or (EMBEDDED if knows_world(given.t2i) else ()))
    if not t2vs:
        raise RequestError("--t2i is given, but no --t2v; give both.")
    device = devices.resolved(given.device)
    dtype = given.dtype or str(devices.usual_dtype(device)).removeprefix("torch.")
    processes = given.processes or (1 if devices.is_gpu(device) else os.cpu_count() or 1)
    return Study(
        out=given.out,
        t2i=given.t2i,
        t2vs=t2vs,
        tables=tuple(table for table in TABLES if not given.only or table.name in given.only),
        prompts=tuple(read_prompts(file)[:count]),
        seeds=given.seeds,
        frames=given.frames,
        size=given.size,
        machine=Machine(device, dtype),
        processes=processes,
    )


def parser() -> argparse.ArgumentParser:
    """This command's."""
    made = ArgumentParser(
        prog=f"elevator {COMMAND}",
        description=__doc__,
        epilog="tables: " + ", ".join(TABLE_NAMES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ", ".join(EMBEDDED)
    made.add_argument(
        "--only", action="append", choices=TABLE_NAMES, metavar="TABLE", help="one table; may be repeated"
    )
    made.add_argument("--t2i", type=_model, default="embedded", metavar="MODEL", help="default: the embedded one")
    made.add_argument(
        "--t2v",
        type=_model,
        action="append",
        metavar="MODEL",
        help=f"may be repeated (default with the embedded T2I: {names})",
    )
    made.add_argument(
        "--prompts",
        type=values.prompts,
        metavar="N|FILE",
        help="the first N of the study's own, or a file: a prompt a line, or a JSON list of objects with a text each",
    )
    made.add_argument("--seeds", type=values.count, default=2, metavar="N", help="of each prompt, at most (default: 2)")
    made.add_argument("--frames", type=values.count, default=FRAMES, metavar="N", help=f"default: {FRAMES}")
    made.add_argument("--size", type=values.size, metavar="WxH", help="in pixels (default: the T2I's own)")
    made.add_argument("--device", type=values.device, default="auto", metavar="DEVICE", help="default: auto")
    made.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), help="of the networks")
    made.add_argument(
        "--processes", type=values.count, metavar="N", help="clips at once (default: one a core, on a GPU one)"
    )
    made.add_argument("--out", type=Path, default=Path("study"), help="folder of everything (default: study)")
    made.add_argument("--dry-run", action="store_true", help="only say what it costs in clips and hours")
    made.add_argument("--page", action="store_true", help="make no clip: write the page from those that are there")
    made.add_argument("--no-plots", action="store_true", help="without plots, which need matplotlib")
    made.add_argument("--quiet", action="store_true", help="show no progress")
    return made


def _model(text: str) -> str:
    return text if text in EMBEDDED else values.path(text)
