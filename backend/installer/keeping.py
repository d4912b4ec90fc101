"""An environment that works is not lost by an installation that fails: what was there is put back.

The earlier one stays beside it, made of hard links to the same files, so that it takes no room and two seconds. pip and
Python put new files in the place of old ones and write into none, so what is kept stays as it was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.installer import environments, import_check
from backend.installer.clone import Environment
from backend.installer.problem import Problem
from backend.installer.terminal import say
from shared_protocol.machine import files


@contextmanager
def kept(environment: Environment) -> Iterator[None]:
    """Keep the environment while the block changes it, and put it back if that or the look at what came of it fails.

    What an installation left that was killed is put back first. Raises Problem if the new one cannot be imported.
    """
    put_back(environment)
    old = beside(environment)
    if is_worth_keeping(environment):
        part = old.with_name(f"{old.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(environment.folder, part, symlinks=True, copy_function=_link)
        files.move(part, old)
    try:
        yield
        if wrong := import_check.broken(environment):
            raise Problem(f"{environment.name} was made and does not work: {wrong[0]}.")
    except BaseException:  # whatever ends it: Ctrl-C, too
        if put_back(environment):
            say(f"{environment.name} is as it was before.")
        raise
    shutil.rmtree(old, ignore_errors=True)


def beside(environment: Environment) -> Path:
    """Where the earlier one is kept meanwhile."""
    return environment.folder.with_name(f"{environment.name}.old")


def is_worth_keeping(environment: Environment) -> bool:
    """Whether it was complete at some time: its own lock file may be an older one."""
    stamp = environment.folder / environments.STAMP
    return stamp.exists() and stamp.read_text(encoding="utf-8") != environments.UNFINISHED


def put_back(environment: Environment) -> bool:
    """Put back what is kept. Whether there was something."""
    old = beside(environment)
    if not old.exists():
        return False
    if environment.folder.exists():
        shutil.rmtree(environment.folder)
    files.move(old, environment.folder)
    return True


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # a disk without hard links
        shutil.copy2(source, target, follow_symlinks=False)
