"""What `scripts/check` and `scripts/test` run, and `install.py test` one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from backend.installer import development
from backend.installer.children import end_on_signals, started
from backend.installer.clone import BACKEND, ROOT
from backend.installer.environments import python_of
from backend.installer.problem import Interrupted, Problem
from backend.installer.terminal import say

SOURCES = ("shared_protocol", "backend", "elevator", "blender_addon", "install.py")
CHECKS: dict[str, Sequence[str]] = {
    "format": ["ruff", "format", "--check"],
    "lint": ["ruff", "check"],
    "types": ["mypy"],
    **{
        f"types on {system}": ["mypy", f"--platform={system}", f"--cache-dir=.mypy_cache/{system}", *SOURCES]
        for system in ("win32", "darwin")
    },
    "rooms": ["pytest", "tests/test_architecture.py"],
}
"""By name: a module of the backend's environment and its arguments. What a system lacks, mypy knows."""
FAST = [
    *("-m", "not process and not blender and not slow"),
    *("--ignore=tests/end_to_end", "--ignore=tests/benchmarks", "--ignore=tests/test_architecture.py"),
]
"""`check` looks at the architecture."""
WORKERS = ["-n", "3", "--dist", "loadscope", "--no-loadscope-reorder"]
"""Three tests at a time, for on two cores half of the time passes in waiting for processes; what shares more than the
machine's time stays on one worker (tests/lanes.py)."""
ONE_BY_ONE = {"-n", "--pdb", "--trace", "-s", "--capture=no", "--collect-only", "--co", "-p"}
"""Arguments with which pytest runs in one process, or as they say."""


def check() -> int:
    """Run all checks at once and show what those say that fail. Returns 0 if none did."""
    began = time.monotonic()
    python = python_of(BACKEND)
    failed = []
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(started([python, "-m", *command], cwd=ROOT, output=subprocess.PIPE))
            for name, command in CHECKS.items()
        }
        for name, process in running.items():
            output, _ = process.communicate()
            if process.returncode:
                failed.append(name)
                say(output.decode("utf-8", "replace").rstrip())
    say(f"check: {', '.join(failed) + ' failed' if failed else 'all right'} after {time.monotonic() - began:.0f} s")
    return int(bool(failed))


def test(arguments: Sequence[str]) -> int:
    """Run the tests, those of the fast lane if the first argument says so; further ones are pytest's."""
    lane: Iterable[str] = ()
    if arguments[:1] == ["fast"]:
        lane, arguments = FAST, arguments[1:]
    workers: Iterable[str] = () if any(each.split("=")[0] in ONE_BY_ONE for each in arguments) else WORKERS
    command: list[str | Path] = [python_of(BACKEND), "-m", "pytest", *workers, *lane, *arguments]
    # Where Python may not keep what it compiles, pytest would compile all tests anew each time.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with started(command, cwd=ROOT, env=env) as tests:
        return tests.wait()


def main(arguments: list[str]) -> int:
    """`check`, or `test` with its arguments."""
    end_on_signals()
    try:
        development.make_ready()
        return check() if arguments[0] == "check" else test(arguments[1:])
    except Interrupted:
        return 130
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
