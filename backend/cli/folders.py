"""Whether the product's own folders have names that can be told to others."""

from __future__ import annotations

from pathlib import Path

from shared_protocol.machine import places

from ..logs import visible
from .failures import CommandFailure

LONGEST = 480
"""Bytes of a folder's name. SQLite opens no file whose name has more than 512; messages would hold 4096 characters."""


def check_folders() -> None:
    """Raises BackendError if the folder of settings, state or data cannot be named in a message."""
    try:
        folders = (places.config_folder(), places.state_folder(), places.data_folder())
    except RuntimeError as error:  # no HOME, and an account without a folder
        raise CommandFailure("no_home") from error
    for folder in folders:
        _check(folder)


def _check(folder: Path) -> None:
    name = str(folder)
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise CommandFailure("folder_unnamable", folder=visible(name), detail="it is not UTF-8") from error
    if size > LONGEST:
        detail = f"it has {size} bytes, and {LONGEST} is the most"
        raise CommandFailure("folder_unnamable", folder=f"{name[:60]}…", detail=detail)
