"""What `python -m tests.gpu` is made of: parts of checks, each of which tells its findings one by one.

Every part runs in a process of its own with a deadline, so that one that hangs, or whose device is lost, costs only
itself. A finding is printed and on the disk before the next one is looked for.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "tests.gpu")
"""What runs a part, with options behind it."""


@dataclass(frozen=True)
class Finding:
    """One thing that was seen."""

    name: str
    text: str
    """A line for people, without the name."""
    ok: bool | None = None
    """Whether it holds what was promised; None: nothing was."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Numbers for the table, with their units in their names."""

    def __str__(self) -> str:
        verdict = {True: "ok  ", False: "FAIL", None: "    "}[self.ok]
        return f"{verdict} {self.name}: {self.text}"


@dataclass(frozen=True)
class Setting:
    """Where a part runs, and how large."""

    device: str
    small: bool
    """In miniature, as tests run it on a processor."""
    folder: Path
    """For whatever the part leaves."""
    deadline: float
    """On the clock of `time.monotonic`: when the process is ended."""

    @property
    def left(self) -> float:
        """Seconds."""
        return self.deadline - time.monotonic()


Check = Callable[[Setting], Iterator[Finding]]


@dataclass(frozen=True)
class Part:
    """Checks that belong together."""

    name: str
    share: float
    """Of the whole time, beside the shares of the other parts."""
    about: str


PARTS = (
    Part("right", 60, "the numbers are right"),
    Part("backend", 110, "the backend on it"),
    Part("memory", 60, "memory, foreseen and taken"),
    Part("speed", 215, "speed, and its share of the card's ceiling"),
    Part("frames", 25, "frames from the worker to the client"),
)
"""In order of worth."""


def run_checks(part: str, checks: Sequence[Check], setting: Setting) -> int:
    """Run them one after the other, telling each finding at once; how many did not hold. For the part's own process."""
    found: list[dict[str, Any]] = []
    failed = 0
    for check in checks:
        for finding in _guarded(check, setting):
            failed += finding.ok is False
            found.append({"name": finding.name, "ok": finding.ok, "text": finding.text, **finding.values})
            _write(setting.folder / f"{part}.json", found)
            print(finding, flush=True)
    return failed


def _guarded(check: Check, setting: Setting) -> Iterator[Finding]:
    """A check's findings; one that breaks is a finding too, and the next check is made all the same."""
    name = check.__name__.replace("_", " ")
    try:
        yield from check(setting)
    except Exception as error:  # noqa: BLE001  # the process's outer edge: what breaks is told
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        line = f" ({Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno})" if where else ""
        yield Finding(name, f"{type(error).__name__}: {str(error)[:600]}{line}", False)


def _write(path: Path, content: Any) -> None:
    """Whole or not at all."""
    rough = path.with_suffix(".part")
    rough.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    rough.replace(path)


def run_all(parts: Sequence[Part], minutes: float, device: str, small: bool, out: Path) -> int:
    """Run parts in processes of their own; what one does not use the next ones have. How many did not hold."""
    out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * minutes
    failed = 0
    for k, part in enumerate(parts):
        left = ends - time.monotonic()
        seconds = left * part.share / sum(each.share for each in parts[k:])
        print(f"\n== {part.name}: {part.about} (at most {seconds:.0f} s)", flush=True)
        began = time.monotonic()
        code = _run_part(part, seconds, device, small, out)
        failed += code != 0
        how = {0: "done", 1: "done, not all holds"}.get(code, "CUT OFF" if code == _CUT else f"broke ({code})")
        line = {"part": part.name, "how": how, "seconds": round(time.monotonic() - began, 1), "limit": round(seconds)}
        with (out / "parts.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"== {part.name}: {how} after {line['seconds']} s", flush=True)
    return failed


_CUT = 124


def _run_part(part: Part, seconds: float, device: str, small: bool, out: Path) -> int:
    command = [*COMMAND, "--part", part.name, "--device", device, "--out", str(out)]
    command += ["--seconds", str(seconds), *(["--small"] if small else [])]
    # A session of its own, so that the servers and workers that it started end with it.
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return _CUT
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started."""
    with suppress(ProcessLookupError):  # nothing is left of it
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
