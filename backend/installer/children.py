"""Child processes that never outlive install.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, TypeAlias

from backend.installer.problem import Interrupted, Problem
from backend.installer.terminal import Ticker

Command: TypeAlias = Sequence[str | Path]

PATIENCE_S = 5.0
"""How long a process may take to end before it is told more firmly."""


class _Birth:
    """Holds a signal back while a child is made: raised in the midst of it, nobody would know the child."""

    def __init__(self) -> None:
        self.happens = self.interrupted = False

    def __enter__(self) -> None:
        self.happens = True

    def __exit__(self, *raised: object) -> None:
        self.happens = False
        if self.interrupted:
            self.interrupted = False
            raise Interrupted


_birth = _Birth()


def end_on_signals() -> None:
    """Turn Ctrl-C and the system's wish to end into one exception; what comes later must not disturb the tidying."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    signals = [getattr(signal, name) for name in names]

    def stop(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        if not _birth.happens:
            raise Interrupted
        _birth.interrupted = True

    for each in signals:
        signal.signal(each, stop)


@contextmanager
def started(
    args: Command,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    output: IO[bytes] | int | None = None,
    errors: int | None = subprocess.STDOUT,
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process that is gone, with all of its own children, when the block is left.

    errors: where its errors go, if its output goes somewhere.
    """
    # In a group of its own the terminal's Ctrl-C reaches only install.py, which then ends the whole group.
    group = 0x200 if sys.platform == "win32" else 0  # CREATE_NEW_PROCESS_GROUP
    process = None
    try:
        with _birth:
            process = subprocess.Popen(
                [str(arg) for arg in args],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else errors,
                start_new_session=os.name == "posix",
                creationflags=group,
            )
        yield process
    finally:
        if process is not None:
            try:
                end(process)
            except Interrupted:  # it comes only once; what was begun is brought to its end
                end(process)
                raise
            finally:
                if process.stdout is not None:
                    process.stdout.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it has started: politely, then firmly."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
        process.wait()
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        # The group's number stays taken while any process of it lives, so this never meets a stranger.
        if not _signal_group(process.pid, number):
            break
        limit = time.monotonic() + PATIENCE_S
        while time.monotonic() < limit and _signal_group(process.pid, 0):
            process.poll()  # a zombie counts as a member until it is reaped
            time.sleep(0.02)
    process.wait()


def end_stray(pid: int) -> None:
    """End a process that somebody else has started, with its group."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
        return
    try:
        group = os.getpgid(pid)
    except ProcessLookupError:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        limit = time.monotonic() + PATIENCE_S
        while time.monotonic() < limit and _signal_group(group, number):
            time.sleep(0.1)


def _signal_group(group: int, number: int) -> bool:
    """Whether there is such a group."""
    try:
        os.killpg(group, number)  # type: ignore[attr-defined,unused-ignore]
    except (ProcessLookupError, PermissionError):  # macOS says "permission" when only a zombie is left
        return False
    return True


def last_line(log: Path) -> str:
    """The newest line of a log."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def run(
    args: Command,
    *,
    what: str,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    busy_with: Callable[[Path], str] = last_line,
    why: Callable[[Path], str] | None = None,
) -> None:
    """Run a command to its end with its output in `log`. Raises Problem with the reason if it fails.

    busy_with: what to tell meanwhile, from the log. why: the reason, from the log; by default `reason`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("wb") as file,
        Ticker(what, every_s=20) as ticker,
        started(args, cwd=cwd, env=env, output=file) as process,
    ):
        while True:
            try:
                code = process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                ticker.tell(busy_with(log))
            else:
                break
        if code != 0:
            raise Problem(f"{what} failed: {(why or reason)(log)} The whole output is in {log}.")


def ask(args: Command, *, timeout_s: float = 30.0, env: Mapping[str, str] | None = None) -> str | None:
    """What a quick command prints, or None if it cannot be run, fails or takes too long."""
    try:
        with started(args, env=env, output=subprocess.PIPE, errors=subprocess.DEVNULL) as process:
            answer, _ = process.communicate(timeout=timeout_s)
    except (OSError, subprocess.SubprocessError):
        return None
    return None if process.returncode else answer.decode("utf-8", "replace").strip()


def reason(log: Path) -> str:
    """The line of a failed command's log that says why: the last one that speaks of an error, else the last one."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").split("\n") if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "e:", "fatal")) or "Error:" in line]
    found = (errors or lines or ["it said nothing"])[-1]
    return found if found.endswith((".", "!", "?")) else found + "."
