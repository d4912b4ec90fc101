"""What a backend was started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder: paths in base files are relative to it, and child processes start in it."""

GRACE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one backend, fixed for its whole life."""

    fake: bool = False
    """Answer with moving test pictures, without models."""
    stay: bool = False
    """Do not end when nobody is connected."""
    grace: float = GRACE_SECONDS
    """How long to wait for a client when none is connected, seconds."""
    device: str = "auto"
    """Where to sample: "cpu", "cuda", or "auto" to take what is there."""
