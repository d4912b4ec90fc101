"""What makes pictures: a request goes in, progress and finished frames come out, one item after each unit of work.

Whoever iterates may stop at any item; closing the iterator frees what the maker held for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elevator.pixels import Pixels
from shared_protocol.messages import Phase

from ..orders import Sample

Clip: TypeAlias = NDArray[np.uint8]
"""8-bit sRGB, (frames, height, width, 3)."""


@dataclass(frozen=True, eq=False)
class Advance:
    """A unit of work is done."""

    phase: Phase
    step: int
    """Units done."""
    steps: int
    """Units in all; 0 while unknown."""
    preview: Callable[[], Clip | None] = lambda: None
    """Makes a coarse picture of the whole clip, if there is something to show. Costs time, so call it seldom."""
    bytes_done: int = 0
    bytes_total: int = 0
    """While loading: bytes of weights read, and in all; 0 while unknown."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame is finished."""

    index: int
    """0 … frames − 1, in order."""
    pixels: Pixels


@dataclass(frozen=True)
class Note:
    """A sentence about the job for the user, which stops nothing."""

    sentence: str
    again: bool = False
    """Whether the clip is begun anew, so that steps and frames count from 0 again."""


@dataclass(frozen=True, eq=False)
class Extra:
    """A file of the result beside the frames: the record, the contact sheet. Comes after all pictures."""

    name: str
    data: bytes


NO_PICTURES: Mapping[str, str] = {}
Item: TypeAlias = Advance | Picture | Note | Extra


class Maker(Protocol):
    """Something that makes pictures."""

    device: str
    """Where it works: "cpu", "cuda", "xpu:1", "mps", "none"."""

    @property
    def memory(self) -> int:
        """Bytes that it can have on a GPU; 0: it works elsewhere."""

    @property
    def loads(self) -> int:
        """How many times it has read models from disk."""

    def make(
        self,
        order: Sample,
        pictures: Mapping[str, str] = NO_PICTURES,
        cautious: bool = False,
        rungs: Sequence[int] = (),
    ) -> Generator[Item, None, None]:
        """Make the clip; `pictures`, `cautious` and `rungs` are those of its Task.

        Raises Failure while iterated.
        """
