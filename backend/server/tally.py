"""The results that are there, counted as they come and go, so that nobody has to look at all of them."""

from __future__ import annotations

from collections import Counter


class Tally:
    """How many results there are and how large, and what waits for its clients."""

    def __init__(self) -> None:
        self.number = 0
        self.size = 0
        """Bytes of all together."""
        self.received = 0
        """How many their clients have taken."""
        self._waiting: Counter[str] = Counter()

    def add(self, principal: str, size: int, *, received: bool) -> None:
        """A result of so many bytes is there."""
        self.number, self.size = self.number + 1, self.size + size
        self.received += received
        self._waiting[principal] += 0 if received else size

    def drop(self, principal: str, size: int, *, received: bool) -> None:
        """It is there no longer."""
        self.number, self.size = self.number - 1, self.size - size
        self.received -= received
        self._waiting[principal] -= 0 if received else size

    def take(self, principal: str, size: int) -> None:
        """Its client has taken it now."""
        self.received += 1
        self._waiting[principal] -= size

    def waiting(self, principal: str) -> int:
        """Bytes of the results of a principal that it has not taken yet."""
        return self._waiting[principal]
