"""Texts of properties, read safely. Blender counts the length of a text in bytes: one that an earlier version of the
extension, or a script, has held to a number of bytes may end inside of a sign."""

from __future__ import annotations

from typing import Any


def text_of(owner: Any, name: str) -> str:
    """A text property, without what is left of a sign at its end."""
    try:
        return str(getattr(owner, name))
    except UnicodeDecodeError as error:
        return error.object.decode("utf-8", "ignore")
