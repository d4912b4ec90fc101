"""What a backend was started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GRACE_SECONDS = 60.0
IDLE_SECONDS = 600.0
SILENCE_SECONDS = 1800.0
KEPT_RESULTS = 500
KEPT_BYTES = 20 << 30
GUEST_BYTES = 5 << 30
UPLOAD_BYTES = 8 << 30


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """How one backend is served, fixed for its whole life."""

    fake: bool = False
    """Answer with moving test pictures, without models."""
    stay: bool = False
    """Do not end when nobody is connected and nothing is to be done."""
    grace: float = GRACE_SECONDS
    """How long to wait for a client when none is connected and no job is unfinished, seconds."""
    device: str = "auto"
    """Where to sample: "cpu", "cuda", "cuda:1", "xpu", "mps", several with commas between, or "auto": what is there."""
    idle: float = IDLE_SECONDS
    """After so long without a job a worker is ended, which gives its memory back; seconds."""
    silence: float = SILENCE_SECONDS
    """A worker that has said nothing about its job for so long counts as stuck; seconds. Generous: one call of a large
    network on a slow processor takes minutes."""
    memory_budget: int = 0
    """Bytes that models kept between jobs may take on a device; 0: half of what it has."""
    kept_results: int = KEPT_RESULTS
    kept_bytes: int = KEPT_BYTES
    """How many results to keep and how large, all together. One that no client has fetched is kept beyond that."""
    guest_bytes: int = GUEST_BYTES
    """How large the results of each other key may be that it has not fetched: with more, it is to fetch them first."""
    upload_bytes: int = UPLOAD_BYTES
    """How large uploaded pictures may be, all together."""
    log_prompts: bool = False
    """Whether prompts may stand in the log."""
    bind: str = ""
    """ZeroMQ address at which other machines reach the backend, such as "tcp://0.0.0.0:5577"; empty: none."""
    authorize: tuple[Path, ...] = ()
    """Files with public keys that are let in, besides those of the configuration folder."""
