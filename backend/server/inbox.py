"""What clients have sent and nobody has followed yet: bounded for each, and each is heard in turn. No sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import zmq

MOST_REQUESTS = 1000
"""How many of one client's requests may wait."""
MOST_BYTES = 16 << 20
"""And how large they may be, all together."""


@dataclass
class _Waiting:
    """One client's requests, the oldest first."""

    requests: deque[Sequence[zmq.Frame]] = field(default_factory=deque)
    bytes: int = 0


class Inbox:
    """Requests by the identities of their clients."""

    def __init__(self) -> None:
        self._all: dict[bytes, _Waiting] = {}
        """Only clients of whom something waits; the one that is heard next comes first."""

    def __bool__(self) -> bool:
        return bool(self._all)

    def put(self, identity: bytes, request: Sequence[zmq.Frame]) -> bool:
        """Take a request in. False, and nothing is taken, if that is more than one client may have here."""
        waiting = self._all.get(identity) or _Waiting()
        size = waiting.bytes + sum(len(frame) for frame in request)
        if len(waiting.requests) >= MOST_REQUESTS or (waiting.requests and size > MOST_BYTES):
            return False
        waiting.requests.append(request)
        waiting.bytes = size
        self._all[identity] = waiting
        return True

    def take(self, hears: Callable[[bytes], bool]) -> tuple[bytes, Sequence[zmq.Frame]] | None:
        """The next request of the client that has waited longest for its turn, of those that `hears` is true of."""
        identity = next(filter(hears, self._all), None)
        if identity is None:
            return None
        waiting = self._all.pop(identity)
        request = waiting.requests.popleft()
        waiting.bytes -= sum(len(frame) for frame in request)
        if waiting.requests:
            self._all[identity] = waiting  # at the end: it is the others' turn now
        return identity, request

    def forget(self, identity: bytes) -> None:
        """The client has gone, or is not listened to any more."""
        self._all.pop(identity, None)
