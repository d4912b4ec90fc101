"""What checks, tests and training need in the backend's environment; who makes clips does without it."""

from __future__ import annotations

from pathlib import Path

from backend.installer import contents, environments
from backend.installer.children import run
from backend.installer.clone import BACKEND, BUILD, LOGS, ROOT
from backend.installer.one_at_a_time import one_at_a_time

LOCK = ROOT / "development.lock"


def make_ready() -> None:
    """Put it into the environment, which is complete otherwise. Quick when all is there. Raises Problem."""
    if not lacking():
        return
    with one_at_a_time(BUILD / "setup.lock", "sets up"):
        for each in lacking():
            if not each.replaces:
                contents.forget(BACKEND.folder, each.package)
        pip: list[str | Path] = [
            environments.python_of(BACKEND),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
        ]
        run(
            [*pip, "--no-deps", "-r", LOCK],  # both locks together are whole
            what=f"Installing what tests need into {BACKEND.name}",
            log=LOGS / f"pip{BACKEND.name}-development.log",
            busy_with=environments.pip_is_busy_with,
            why=environments.pips_reason,
        )


def lacking() -> list[contents.Damage]:
    """Which of its packages are not there, or not as they were installed."""
    wanted = contents.pins(LOCK.read_text(encoding="utf-8"))
    try:
        complete_at = (BACKEND.folder / environments.STAMP).stat().st_mtime
    except OSError:
        complete_at = 0.0
    return [each for each in contents.damages(BACKEND.folder, wanted, complete_at) if each.package in wanted]
