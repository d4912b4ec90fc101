"""How long the main job takes once all is set up: `python -m tests.benchmarks.demo`, in the backend's environment.

Prints seconds of one run, and what share of them each part has, beside the load that the machine had before.
The promises: a clip within 90 s, and the backend's process started within 5 s, on two cores that do nothing else.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.options import no_options

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a pumpkin moving right, blue background"
CONNECTION = ROOT / "build" / "demo-home" / "state" / "connection.json"


def main() -> None:
    """Run the demo once and print a table."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "ELEVATOR_HOME": str(Path(folder) / "home")}
        command: list[str | Path] = [
            sys.executable,
            ROOT / "install.py",
            "demo",
            PROMPT,
            "--out",
            Path(folder) / "demo",
        ]
        began = time.monotonic()
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, encoding="utf-8") as process:
            assert process.stdout is not None
            while not CONNECTION.exists() and process.poll() is None:
                time.sleep(0.02)
            ready = time.monotonic() - began
            output = process.stdout.read()
        whole = time.monotonic() - began
    if process.returncode:
        sys.exit(output)
    said = re.search(r"made in (\d+) s", output)
    print(f"load before           {load:6.1f}")
    print(f"backend ready         {ready:6.1f} s  {ready / whole:4.0%} of the whole")
    print(f"whole command         {whole:6.1f} s  (it says: {said[1] if said else '?'} s)")


if __name__ == "__main__":
    no_options(__doc__)
    main()
