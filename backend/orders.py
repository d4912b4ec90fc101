"""Messages between server and worker. Framed as `shared_protocol.wire` says; never seen by a client."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from shared_protocol.messages import Cancel, Cancelled, Done, Failed, Frame, Message, Progress


class Lora(msgspec.Struct, frozen=True, kw_only=True):
    """A style's weights on top of its base."""

    path: str
    weight: float


class Sample(Message, frozen=True, kw_only=True, tag=True):
    """Make one clip: a `Generate` with its style looked up, so that the worker needs to know nothing else."""

    job: str
    prompt: str
    """With the style's words."""
    negative_prompt: str
    t2i: str
    """Folder or file of the text-to-image model."""
    t2v: str
    """Folder or file of the text-to-video model."""
    vae: str | None = None
    """Folder or file; None: the text-to-image model's own."""
    prediction_type: str | None = None
    """None: as the text-to-image model says."""
    t2v_loras: tuple[Lora, ...] = ()
    """For the text-to-video model alone."""
    t2v_text: str | None = None
    """Folder or file whose text encoder the text-to-video model reads; None: its own, or else the other's."""
    t2v_schedule: str | None = None
    """Name of a schedule that the sampler knows; None: as the text-to-video model says."""
    loras: tuple[Lora, ...]
    loras_on_t2v: bool = False
    """Whether `loras` also go on the text-to-video model."""
    embeddings: tuple[str, ...] = ()
    """Files of words that were learned."""
    plan: dict[str, Any]
    """Fields of the sampler's plan."""
    frames: int
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    fps: float
    seed: int
    previews: bool


class Ready(Message, frozen=True, kw_only=True, tag=True):
    """The worker waits for work."""

    device: str


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

    def __repr__(self) -> str:
        return f"WorkerKeys({self.endpoint})"  # keys must not end in a log


ToWorker: TypeAlias = Sample | Cancel
FromWorker: TypeAlias = Ready | Loaded | Progress | Frame | Done | Failed | Cancelled

to_worker: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)
from_worker: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)
