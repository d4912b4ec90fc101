"""The last list of styles that a backend told, so that the panel has one before the backend runs. No bpy."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from shared_protocol.machine import files
from shared_protocol.messages import Style

log = logging.getLogger(__name__)


def read(file: Path) -> tuple[Style, ...]:
    """The kept list, or none: the backend tells it again."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[Style, ...])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return ()


def keep(file: Path, styles: tuple[Style, ...]) -> None:
    """Keep the list in one step. A list that cannot be kept is no reason to bother an artist."""
    try:
        files.write(file, msgspec.json.encode(styles), durable=False)
    except OSError as error:
        log.warning("The list of styles was not kept: %s", error)
