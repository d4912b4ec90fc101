"""The record of a finished clip, and the measures in it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from . import devices
from .pictures.clip_folder import frame_name
from .pictures.flow import MIN_SIDE_PX
from .pictures.metrics import measure
from .pixels import Pixels
from .sidecar import ClipSettings, Device, File, FrameFile, Pictures, Sidecar, made_with
from .sources import Sources


@dataclass
class Clock:
    """Seconds by phase, in the order in which phases began."""

    seconds: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)

    def spent_on(self, phase: str) -> None:
        """Count the time since the last call, or since the start, to a phase."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self.since
        self.since = now


def record_of(
    clip: Pixels,
    sources: Sources,
    pictures: Pictures,
    device: Device,
    settings: ClipSettings,
    files: Iterable[File],
    notes: Iterable[str],
    clock: Clock,
) -> Sidecar:
    """Measure a clip (F, H, W, 3) and say how it was made; the clock counts this as `measuring`."""
    measured = measure(clip).as_dict() if min(clip.shape[1:3]) >= MIN_SIDE_PX else {}
    clock.spent_on("measuring")
    gpu = {"gpu": devices.name_of(device.name)} if devices.is_gpu(device.name) else {}
    return Sidecar(
        made_with=made_with() | gpu,
        sources=sources,
        pictures=pictures,
        device=device,
        settings=settings,
        files=tuple(files),
        seconds={phase: round(seconds, 3) for phase, seconds in clock.seconds.items()},
        notes=tuple(notes),
        frames=tuple(FrameFile(frame_name(k), sha256(frame.tobytes()).hexdigest()) for k, frame in enumerate(clip)),
        metrics=measured,
    )
