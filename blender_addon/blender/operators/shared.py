"""What operators share."""

from __future__ import annotations

from typing import Any

from ...clip.link import Link
from ...machine.timer import the_pump

HIDDEN: set[str] = {"SKIP_SAVE"}

"""A script that leaves an argument out means its default, not what was given last time."""


class Connected:
    """An operator that needs a backend."""

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There must be a backend."""
        if the_pump().session.link is not Link.READY:
            cls.poll_message_set("No backend is connected.")  # type: ignore[attr-defined]  # Operator has it
            return False
        return True
