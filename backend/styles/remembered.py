"""What was read from the disk, kept until what it was read from has changed. Nothing here knows of styles.

Whoever reads says with `look_at` which files and folders it looks at, there or not. What was read by `get` within
another `get` belongs to that, too. A file counts as changed by its times, size and inode; one that was written a moment
before it was looked at is read once more, since its next change might have the same time; so is what a shortage kept
from being read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..shortages import passes
from .files import Unusable

T = TypeVar("T")
SETTLED_NS = 20_000_000
"""After so long a file that changes gets another time: what the clocks of disks and systems of today can tell apart."""


@dataclass(eq=False)
class _Node:
    """One thing that was read."""

    seen: dict[str, object] = field(default_factory=dict)
    """Stamps of what was looked at, by path."""
    needs: list[_Node] = field(default_factory=list)
    value: Any = None
    refused: str | None = None
    """Why it cannot be used."""
    passing: bool = False
    """Whether a shortage came between, so that it may be otherwise the next time."""


class Remembered:
    """Things by key. `begin` comes before each look at the disk: within one, each file is looked at once."""

    def __init__(self) -> None:
        self.reads = 0
        """How often anything was read."""
        self._nodes: dict[Hashable, _Node] = {}
        self._open: list[_Node] = []
        self._stamps: dict[str, object] = {}
        self._known: dict[_Node, bool] = {}

    def begin(self) -> None:
        """Look at the disk anew."""
        self._stamps, self._known = {}, {}

    def look_at(self, path: Path | str) -> None:
        """What is being read depends on this file or folder, or on that it is not there."""
        self._open[-1].seen[str(path)] = self._stamp(str(path))

    def missed(self, error: OSError) -> None:
        """Something of what is being read could not be."""
        self._open[-1].passing |= passes(error)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` has made, now or earlier. Raises Unusable where that does."""
        node = self._nodes.get(key)
        if node is None or not self._stands(node):
            node = self._nodes[key] = self._made(make)
        if self._open:
            self._open[-1].needs.append(node)
        if node.refused is not None:
            raise Unusable(node.refused)
        value: T = node.value
        return value

    def stands(self, key: Hashable) -> bool:
        """Whether it was read, and nothing has changed since."""
        node = self._nodes.get(key)
        return node is not None and self._stands(node)

    def forget(self, key: Hashable) -> None:
        """Nobody will ask for it again."""
        self._nodes.pop(key, None)

    def _made(self, make: Callable[[], Any]) -> _Node:
        node = _Node()
        self.reads += 1
        self._open.append(node)
        try:
            node.value = make()
        except Unusable as error:
            node.refused, node.passing = str(error), node.passing or passes(error)
        finally:
            self._open.pop()
        self._known[node] = True
        return node

    def _stands(self, node: _Node) -> bool:
        known = self._known.get(node)
        if known is None:
            known = not node.passing and all(self._stamp(path) == stamp for path, stamp in node.seen.items())
            known = known and all(map(self._stands, node.needs))
            self._known[node] = known
        return known

    def _stamp(self, path: str) -> object:
        if path not in self._stamps:
            self._stamps[path] = _stamp(path)
        return self._stamps[path]


def _stamp(path: str) -> object:
    """What differs once a file has changed; equal to nothing while the next change might not show in it."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # it is not there, may not be looked at, or cannot be a path
        return None
    if abs(time.time_ns() - status.st_mtime_ns) < SETTLED_NS:
        return object()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
