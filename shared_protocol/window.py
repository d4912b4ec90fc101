"""How much a client may have under way, so that it never comes near what the backend takes. No I/O."""

from __future__ import annotations

from collections import deque

REQUESTS = 500
"""Requests that the backend may not have read yet: half of what it takes."""
BYTES = 8 << 20
"""And what they may take."""


class Window:
    """What was sent and is perhaps not read yet. A question stands after each half of it, whose answer tells."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, int]] = deque()
        """Requests and bytes up to each question that is not answered, oldest first."""
        self._requests = self._bytes = 0
        """Since the last question."""

    def takes(self, size: int) -> bool:
        """Whether a request of so many bytes may be sent now."""
        requests = self._requests + sum(requests for requests, _ in self._parts)
        under_way = self._bytes + sum(its_bytes for _, its_bytes in self._parts)
        return not requests or (requests < REQUESTS and under_way + size <= BYTES)

    def sent(self, size: int) -> bool:
        """A request of so many bytes was sent. Whether it is time for a question."""
        self._requests, self._bytes = self._requests + 1, self._bytes + size
        return self._requests >= REQUESTS // 2 or self._bytes >= BYTES // 2

    def asked(self) -> None:
        """A question was sent."""
        self._parts.append((self._requests, self._bytes))
        self._requests = self._bytes = 0

    def answered(self) -> None:
        """The oldest question was answered, so all before it was read."""
        if self._parts:
            self._parts.popleft()
