"""How long the add-on holds up Blender: `python -m tests.benchmarks.ticks`, in the backend's environment.

In a real bpy, with frames of 1024 × 1024 pixels that are as large as photographs: the longest of all ticks while clips
are made and arrive, from a backend on this computer, whose files a process copies, and from another machine, whose
frames come over the wire and are written by Blender. The promise: 8 ms at most. Prints the load beside it.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from blender_addon.tools import packing
from tests.addon.blenders import BLENDER, Lab
from tests.benchmarks.options import no_options

ROOT = Path(__file__).resolve().parents[2]
RUNS = 3
BASE = 'title = "Large"\nt2i = "none"\nt2v = "none"\npresets = "animatediff"\n'
STYLE = 'title = "Large"\nbase = "large"\npreset = "published"\nexample_prompt = "a fox"\n'


def main() -> None:
    """Run, and print a table."""
    no_options(__doc__)
    extension = packing.build(ROOT / "build", Path(sys.executable))
    for check in ("check_ticks_on_this_computer", "check_ticks_over_the_wire"):
        worst = []
        for _ in range(RUNS):
            with tempfile.TemporaryDirectory() as folder:
                lab = Lab(Path(folder), BLENDER, extension)
                for kind, text in (("bases", BASE), ("styles", STYLE)):
                    (lab.home / "config" / kind).mkdir()
                    (lab.home / "config" / kind / "large.toml").write_text(text, encoding="utf-8")
                load, outcome = os.getloadavg()[0], lab.run("ticking", [check])
                assert outcome.results.get(check) == "", f"{outcome.results}\n{outcome.output[-2000:]}"
            told = outcome.figures
            worst.append(told["seconds"])
            print(
                f"{check}: {told['ticks']} ticks, longest {1000 * told['seconds']:.1f} ms, median"
                f" {1000 * told['median']:.2f} ms, most bytes in one {told['bytes'] / 1e6:.1f} MB, a frame"
                f" {told['frame'] / 1e6:.1f} MB, load {load:.1f}",
                flush=True,
            )
        print(f"{check}: median of the longest {1000 * statistics.median(worst):.1f} ms")


if __name__ == "__main__":
    main()
