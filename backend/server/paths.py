"""Names of files that came from a client: never a way out of the folder that they are looked up in."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

MAX_NAME = 200
"""Characters."""
MAX_PART_BYTES = 255
"""What file systems take as one part of a path."""
_DEVICE = re.compile(
    r"(CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])\s*(\..*)?", re.IGNORECASE | re.DOTALL
)
"""What Windows takes for a device, in every folder and with every extension."""


class Outside(Exception):
    """The name is none of a file below the folder. The text is one sentence."""


def inside(folder: Path, name: str) -> Path:
    """The file `name` below `folder`. It need not be there.

    The parts of a name are divided by `/`. The same names are refused on every operating system. Links are followed
    when the file is opened: no client can make one, so those that are there are the owner's, who keeps models
    elsewhere. Raises Outside.
    """
    for part in _parts(name):
        _check(part)
    return folder / name


def _parts(name: str) -> list[str]:
    if not name:
        raise Outside("The name is empty.")
    if len(name) > MAX_NAME:
        raise Outside(f"The name is longer than {MAX_NAME} characters.")
    if name.startswith("/"):
        raise Outside("The name begins at the root of the disk, not in its folder.")
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
        raise Outside("The name holds a sign that cannot be written.")
    if "\\" in name or ":" in name:
        raise Outside("The name holds a backslash or a colon.")
    return name.split("/")


def _check(part: str) -> None:
    if part == "..":
        raise Outside("The name leads out of its folder.")
    if part.rstrip(". ") != part or not part:  # Windows drops dots and spaces at the end, so ".. " is ".." there
        raise Outside("A part of the name is empty or ends with a dot or a space.")
    if len(part.encode()) > MAX_PART_BYTES:
        raise Outside(f"A part of the name is longer than {MAX_PART_BYTES} bytes.")
    if _DEVICE.fullmatch(part):
        raise Outside("The name is that of a device on Windows.")
