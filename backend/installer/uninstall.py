"""Takes away what install.py and the backend have put on this machine, and asks where it cannot be had again.

The clone itself stays: deleting its folder is the last step, and the person's.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.installer.clone import BUILD, ROOT
from backend.installer.one_at_a_time import one_at_a_time
from backend.installer.problem import Problem
from backend.installer.terminal import say
from shared_protocol.machine import locks, places
from shared_protocol.machine.launcher import launcher

MODELS = ("models", "loras", "bases", "styles", "embeddings")
"""Folders below those of settings and data that hold what the person has brought."""


@dataclass(frozen=True)
class Part:
    """What goes, or stays, in one piece."""

    what: str
    paths: tuple[Path, ...]
    asked: bool = True
    """Whether it cannot be made again by install.py."""
    models: bool = False

    @property
    def there(self) -> tuple[Path, ...]:
        """What of it is on the disk."""
        return tuple(path for path in self.paths if path.exists() or path.is_symlink())


def parts() -> tuple[Part, ...]:
    """All of it, in the order in which it goes: models come last."""
    config, state, data = places.config_folder(), places.state_folder(), places.data_folder()
    models = tuple(dict.fromkeys(folder / name for folder in (config, data) for name in MODELS))
    environments = tuple(sorted(path for path in ROOT.glob(".venv*") if path.is_dir()))
    rest = tuple(
        path
        for folder in dict.fromkeys((state, data, config))
        for path in sorted(folder.glob("*"))
        if path not in models and path != places.lock_file()
    )
    return (
        Part("environments and what was built", (*environments, BUILD), asked=False),
        Part("queue, finished clips, keys, profiles, logs", rest),
        Part("models, LoRAs, bases and styles of your own", models, models=True),
    )


def uninstall(*, yes: bool, keep_models: bool, ask: Callable[[str], str] = input) -> int:
    """Say what goes and where it lies, ask, and delete. Returns 0, or 1 if something could not be deleted.

    yes: ask nothing. keep_models: the person's own models stay. Raises Problem while a backend runs.
    """
    if (pid := locks.holder(places.lock_file())) is not None:
        raise Problem(f'A backend runs (process {pid}). End it first: "{launcher()} stop", or close Blender.')
    with one_at_a_time(BUILD / "setup.lock", "sets up"):
        pass  # it is deleted, too, so it cannot be held meanwhile
    failed = []
    for part in parts():
        if not part.there:
            continue
        say(f"{part.what[:1].upper()}{part.what[1:]}, {_size_text(part.there)}:")
        for path in part.there:
            say(f"  {path}")
        if keep_models and part.models:
            say("  These stay.")
        elif not yes and part.asked and not _agreed(ask):
            say("  They stay.")
        else:
            failed += list(_delete(part.there))
    for error in failed:
        print(f"{error.filename}: {error.strerror}.", file=sys.stderr)
    _remove_empty()
    if not failed:
        say(f"Done. Remove the add-on in Blender's preferences; this folder can be deleted now: {ROOT}")
    return int(bool(failed))


def _agreed(ask: Callable[[str], str]) -> bool:
    try:
        return ask("  Delete them? They cannot be had again. [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody is there to answer
        say("")
        return False


def _delete(paths: tuple[Path, ...]) -> Iterator[OSError]:
    """Delete these; what cannot be deleted is told, and stays. What a link leads to is left alone."""
    for path in paths:
        try:
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            else:
                shutil.rmtree(path)
        except OSError as error:
            yield error


def _remove_empty() -> None:
    """The product's own folders, where nothing is left in them."""
    for folder in (places.state_folder(), places.data_folder(), places.config_folder()):
        rest = [path for path in folder.glob("*") if path != places.lock_file()]
        if not rest and folder.exists():
            places.lock_file().unlink(missing_ok=True)
            try:
                folder.rmdir()
            except OSError:
                continue


def _size_text(paths: tuple[Path, ...]) -> str:
    size = 0
    for path in paths:
        for folder, _, names in os.walk(path):
            size += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
        if not path.is_dir():
            size += path.lstat().st_size
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
