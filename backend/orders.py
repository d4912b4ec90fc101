"""What is to be made, as the queue stores it, and the messages between server and worker.

These are framed as `shared_protocol.wire` says, and never seen by a client.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Literal, TypeAlias

import msgspec

from elevator import Plan, Sources
from elevator.pictures.rates import exact, length
from shared_protocol.messages import (
    Bytes,
    Cancel,
    Cancelled,
    ClipFrames,
    Done,
    Failed,
    Frame,
    Frames,
    Label,
    Message,
    Notice,
    Numerator,
    Progress,
    RatePart,
    Seed,
    SidePx,
)


class Sample(Message, frozen=True, kw_only=True, tag=True):
    """Make one clip: a `Generate` with its style looked up, so that the worker needs to know nothing else."""

    prompt: str
    """With the style's words."""
    negative_prompt: str
    sources: Sources
    plan: Plan
    frames: Frames
    width: SidePx
    height: SidePx
    fps: float
    seed: Seed
    style: Label = ""
    """Name of the style, for the record beside the frames."""
    preset: Label = ""
    """Name of the preset that the plan came from, for the record."""
    footage: tuple[str, ...] = ()
    """SHA-256 of the PNG files to start from, one a frame, or none."""
    strength: float = 1.0
    """Of the noise on the footage: 0 keeps it, 1 ignores it."""
    anchor: str | None = None
    """SHA-256 of the PNG file that is frame 0."""
    flow_fps: tuple[RatePart, RatePart] | None = None
    """The result's rate, with pictures along the optical flow between those that are sampled; None: `fps`, and none."""

    @property
    def result_fps(self) -> Fraction:
        """Frames a second of the result."""
        return exact(self.fps) if self.flow_fps is None else Fraction(*self.flow_fps)

    @property
    def result_frames(self) -> int:
        """How many frames the result has."""
        return self.frames if self.flow_fps is None else length(self.frames, exact(self.fps), self.result_fps)

    @property
    def pictures(self) -> tuple[str, ...]:
        """All files that it names by their hashes."""
        return self.footage if self.anchor is None else (*self.footage, self.anchor)


class Resample(Message, frozen=True, kw_only=True, tag=True):
    """Make a clip of another frame rate from a finished one."""

    source: str
    """Folder of the finished clip's frames, `frame_0001.png` and so on."""
    source_frames: ClipFrames
    source_fps: tuple[Numerator, RatePart]
    """Numerator and denominator, frames a second."""
    frames: ClipFrames
    """How many the new clip has: as `elevator.pictures.conform.length` says."""
    fps: tuple[RatePart, RatePart]
    method: Literal["hold", "flow"]
    width: SidePx
    height: SidePx
    seed: Seed
    """Of the source, for the record."""

    @property
    def result_fps(self) -> Fraction:
        """Frames a second of the result."""
        return Fraction(*self.fps)

    @property
    def result_frames(self) -> int:
        """How many frames the result has."""
        return self.frames


Order: TypeAlias = Sample | Resample


class Task(Message, frozen=True, kw_only=True, tag=True):
    """One try at an order, as a worker gets it."""

    job: str
    order: Order
    folder: str
    """Where the worker writes the result. It is there and empty, and gets its final name from the server."""
    pictures: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Where the files lie that the order names by their hashes."""
    cautious: bool = False
    """Whether the worker shall take as little memory as it can, because the last try ended without a word."""
    previews: bool = False
    """Whether they are wanted from the start."""
    rungs: tuple[int, ...] = ()
    """Measures to begin with, by their places in the ladder, as the clip is not expected to fit without them."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """How much memory does a clip take on a device?"""

    order: Sample
    device: str
    there: Bytes = 0
    """Bytes that the device has, if they are known: then the answer says how the clip fits."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """So many bytes."""

    memory: Bytes
    """As the order says; 0: it cannot be said."""
    least: Bytes = 0
    """With those measures that `rungs` names; 0: nobody has said what there is."""
    rungs: tuple[int, ...] = ()
    """Measures without which the clip would not fit, by their places in the ladder."""


class Preview(Message, frozen=True, kw_only=True, tag=True):
    """From now on previews of a job are wanted, or no longer."""

    job: str
    wanted: bool


class Ready(Message, frozen=True, kw_only=True, tag=True):
    """The worker waits for work."""

    device: str
    memory: Bytes = 0
    """Bytes that it can have on a GPU; 0: it works elsewhere."""


class Loaded(Message, frozen=True, kw_only=True, tag=True):
    """The worker has read models from disk."""

    times: int
    """How often since the last message of this kind."""


class WorkerKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker gets through its standard input: where the server listens and how to be let in."""

    endpoint: str
    server_key: str
    public: str
    secret: str
    fake: bool
    device: str
    """As torch calls it: "cpu", "cuda:1", "mps"; or "auto"."""
    memory_budget: int = 0
    """Bytes that models kept between jobs may take on the device; 0: half of what it has."""

    def __repr__(self) -> str:
        return f"WorkerKeys({self.endpoint})"  # keys must not end in a log


ToWorker: TypeAlias = Task | Cancel | Preview
FromWorker: TypeAlias = Ready | Loaded | Progress | Notice | Frame | Done | Failed | Cancelled

to_worker: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)
from_worker: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)
