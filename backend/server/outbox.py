"""What is to be sent to one client and finds no room on its line, because it reads slower than it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from shared_protocol.wire import Buffer

Parts: TypeAlias = Sequence[Buffer]
"""One message as it goes over the line."""

FULL_BYTES = 32 << 20
"""After so much, what the client can fetch or do without is not kept for it."""
MOST_BYTES = 64 << 20
"""After so much a client counts as one that does not read."""
MESSAGE_BYTES = 1 << 10
"""What a message takes here besides its own bytes, at most."""
MOST_ANSWERS = 256
"""How many of its requests are followed before it reads what they brought."""


class Outbox:
    """Messages for one client, in their order. A part of them may be made only when there is room."""

    def __init__(self) -> None:
        self._items: deque[Parts | Iterator[Parts]] = deque()
        self._bytes = 0
        self._next: Parts | None = None
        """The first message, when it was made already and found no room."""

    def __bool__(self) -> bool:
        return bool(self._items) or self._next is not None

    @property
    def is_full(self) -> bool:
        """Whether only what the client cannot do without is to be added."""
        return self._bytes >= FULL_BYTES

    @property
    def is_neglected(self) -> bool:
        """Whether the client has let more wait than is kept for anybody."""
        return self._bytes >= MOST_BYTES

    @property
    def takes_requests(self) -> bool:
        """Whether further requests of the client are followed."""
        return len(self._items) < MOST_ANSWERS

    def add(self, message: Parts) -> None:
        """Put a message at the end."""
        self._items.append(message)
        self._bytes += _size(message)

    def stream(self, messages: Iterator[Parts]) -> None:
        """Put messages at the end that are made one by one, when there is room for them."""
        self._items.append(messages)

    def first(self) -> Parts | None:
        """The message that is sent next, or None. The same until it was `sent`."""
        while self._next is None and self._items:
            item = self._items[0]
            if isinstance(item, Iterator):
                self._next = next(item, None)
                if self._next is None:
                    self._items.popleft()
                else:
                    self._bytes += _size(self._next)
            else:
                self._next = item
                self._items.popleft()
        return self._next

    def sent(self) -> None:
        """The first message has left."""
        assert self._next is not None
        self._bytes -= _size(self._next)
        self._next = None


def _size(message: Parts) -> int:
    return MESSAGE_BYTES + sum(len(part) for part in message)
