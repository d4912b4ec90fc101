"""The backend on a device: jobs, cancels, LoRAs, a killed worker, idleness, memory that ends, two workers on a card."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch

from backend.worker.sampling import SamplingMaker
from elevator import devices
from elevator.models.pair import InflatedT2I
from shared_protocol.messages import Cancel, Cancelled, Done, Notice, Progress
from tests.backend.clip_orders import PLAN, made, order
from tests.backend.harness import Conversation, Running, gone, pid_of, running, until
from tests.gpu.card import Card
from tests.gpu.parts import Check, Finding, Setting

IDLE = 3
"""Seconds without a job until a worker ends, in the check of it."""
NEAR = 3
"""Of 255: how far frames may be that other kernels computed in half precision."""
SHARES = (0.8, 0.6, 0.45)
"""Of what a clip takes, in which it is to be made all the same."""


@contextmanager
def backend(setting: Setting, *places: str, idle: int = 600) -> Iterator[tuple[Running, Conversation]]:
    """A backend in a home of its own, and a client. In miniature it has no models, which the suite tests by itself."""
    options = ("--stay", "--device", ",".join(places or (setting.device,)), "--idle", str(idle))
    with (
        tempfile.TemporaryDirectory(prefix="gpu_home_") as home,
        mock.patch.dict(os.environ, ELEVATOR_HOME=home),
        running(*options, fake=setting.small, step_seconds=0.02) as there,
        there.client() as client,
    ):
        yield there, client


def _size(setting: Setting) -> dict[str, Any]:
    return {"frames": 2 if setting.small else 16}


def jobs(setting: Setting) -> Iterator[Finding]:
    """A job, a cancel, LoRAs, a killed worker; one backend for all of them."""
    with backend(setting) as (there, client):
        yield _job(client, setting)
        yield _cancel(client)
        yield _loras(client, setting)
        yield _killed(there, client, setting)


def _job(client: Conversation, setting: Setting) -> Finding:
    began = time.monotonic()
    end = client.end_of(client.submit(**_size(setting)))
    first = time.monotonic() - began
    began = time.monotonic()
    client.end_of(client.submit(seed=2, **_size(setting)))
    second = time.monotonic() - began
    device = [worker.device for worker in client.status().workers]
    ok = isinstance(end, Done) and device == [setting.device]
    text = f"{type(end).__name__} on {device} after {first:.1f} s with the start, the next one after {second:.1f} s"
    return Finding("a job", text, ok, {"first_s": first, "next_s": second})


def _cancel(client: Conversation) -> Finding:
    """From the word to the end, against the time of a step."""
    job = client.submit(frames=16, seed=3)
    steps: list[tuple[float, int]] = []
    asked = 0.0
    for message, _ in client.arrivals():
        now = time.monotonic()
        if isinstance(message, Progress) and message.job == job and message.phase in ("painting", "refining"):
            steps.append((now, message.step))
            if len(steps) == 4:
                client.client.send(Cancel(job=job))
                asked = now
        if isinstance(message, Cancelled | Done) and message.job == job:
            break
    after = len([None for at, _ in steps if at > asked])
    seconds = time.monotonic() - asked
    ok = isinstance(message, Cancelled) and after <= 2
    text = f"{type(message).__name__} {seconds * 1e3:.0f} ms after it was asked for, {after} more steps were told"
    return Finding("a cancel", text, ok, {"cancel_ms": seconds * 1e3, "steps_after": after})


def _loras(client: Conversation, setting: Setting) -> Finding:
    """From style to style: other LoRAs on the same models."""
    before = client.status().loads
    seconds = []
    for style in ("sketch", "plain", "neon")[: 1 if setting.small else 3]:
        began = time.monotonic()
        end = client.end_of(client.submit(style=style, frames=2))
        seconds.append(time.monotonic() - began)
        if not isinstance(end, Done):
            return Finding("another LoRA", f"{style}: {end}", False)
    reads = client.status().loads - before
    text = f"{reads} networks read, clips of 2 frames in {', '.join(f'{each:.1f}' for each in seconds)} s"
    return Finding("another LoRA", text, reads == 0, {"reads": reads})


def _killed(there: Running, client: Conversation, setting: Setting) -> Finding:
    job = client.submit(seed=5, **_size(setting))
    client.expect(Progress, lambda message: message.job == job and message.phase == "painting")
    os.kill(pid_of(client.status()), signal.SIGKILL)
    began = time.monotonic()
    end = client.end_of(job)
    notices = [message for message, _ in client.of(job) if isinstance(message, Notice)]
    seconds = time.monotonic() - began
    ok = isinstance(end, Done) and bool(notices)
    text = f"{type(end).__name__} {seconds:.1f} s later, by another worker"
    return Finding("a killed worker", text, ok, {"again_s": seconds})


def idleness(setting: Setting) -> Iterator[Finding]:
    """Whether an idle worker gives the memory back, as the driver counts it."""
    card = Card(torch.device(setting.device))
    idle = 1 if setting.small else IDLE
    before = card.free() if card.is_cuda else 0
    with backend(setting, idle=idle) as (there, client):
        end = client.end_of(client.submit(frames=2))
        (worker,) = there.family
        during = card.free() if card.is_cuda else 0
        ended = gone(worker, 30) and until(lambda: pid_of(client.status()) == 0, 10)
        after = card.free() if card.is_cuda else 0
    taken, kept = (before - during) / 1e6, (before - after) / 1e6
    ok = isinstance(end, Done) and ended and kept <= 64
    text = f"the worker took {taken:.0f} MB of the device, {kept:.0f} MB are kept after it has ended"
    yield Finding("idle", text, ok, {"taken_MB": taken, "kept_MB": kept})


def two_workers(setting: Setting) -> Iterator[Finding]:
    """Two clips at once on one card."""
    with backend(setting, setting.device, setting.device) as (there, client):
        began = time.monotonic()
        asked = [client.submit(seed=seed, **_size(setting)) for seed in (1, 2)]
        workers: set[int] = set()
        left = set(asked)
        for message, _ in client.arrivals():
            if isinstance(message, Progress) and message.phase == "painting" and len(workers) < 2:
                workers |= {each.pid for each in client.status().workers if each.job}
            ends = [each for each, _ in client.heard if getattr(each, "job", None) in left and isinstance(each, Done)]
            left -= {each.job for each in ends}
            if not left:
                break
        seconds = time.monotonic() - began
        held = len(there.family)
    text = f"two clips in {seconds:.1f} s with the start, {held} processes"
    yield Finding("two workers on one card", text, not left and held == 2, {"seconds": seconds})


def memory_that_ends(setting: Setting) -> Iterator[Finding]:
    """A clip in less memory than it takes: torch's own exception, the ladder, and the frames."""
    card = Card(torch.device(setting.device))
    side, frames = (64, 4) if setting.small else (512, 16)
    asked = order(plan=PLAN, frames=frames, width=side, height=side)
    maker = SamplingMaker(setting.device)
    whole = made(maker.make(asked)).clip
    if not card.is_cuda:
        yield from _chunked(maker, asked, whole)
        return
    card.empty()
    torch.cuda.reset_peak_memory_stats(card.device)
    made(maker.make(asked))
    peak = torch.cuda.max_memory_reserved(card.device)
    total = torch.cuda.get_device_properties(card.device).total_memory
    for share in SHARES:
        card.empty()
        maker = SamplingMaker(setting.device)
        # What the worker does itself before each attempt, with what it would find on a smaller card.
        with mock.patch.object(devices, "limit", partial(_limited, share * peak / total)):
            try:
                result = made(maker.make(asked))
            finally:
                torch.cuda.set_per_process_memory_fraction(1.0, card.device)
        away = int(np.abs(result.clip.astype(int) - whole).max())
        mean = float(np.abs(result.clip.astype(int) - whole).mean())
        tiled = any("tiles" in each for each in result.again)
        ok = bool(result.again) and (mean <= 8 if tiled else away <= NEAR)
        text = f"in {share:.0%} of {peak / 1e9:.2f} GB: {len(result.again)} measures ({'; '.join(result.again)}), "
        yield Finding("memory that ends", f"{text}frames at most {away} of 255 away, {mean:.2f} in the mean", ok)


def _limited(share: float, device: str) -> int:
    torch.cuda.set_per_process_memory_fraction(share, torch.device(device))
    return 0


def _chunked(maker: SamplingMaker, asked: Any, whole: np.ndarray) -> Iterator[Finding]:
    """The miniature: a processor's memory cannot be set low, so that calls of more than two frames fail instead."""
    real = InflatedT2I.__call__

    def scarce(network: InflatedT2I, z: torch.Tensor, *told: Any) -> torch.Tensor:
        if z.shape[1] > 2:
            raise torch.OutOfMemoryError("out of memory")
        return real(network, z, *told)

    with mock.patch.object(InflatedT2I, "__call__", scarce):
        result = made(maker.make(asked))
    away = int(np.abs(result.clip.astype(int) - whole).max())
    text = f"{'; '.join(result.again)}; frames at most {away} of 255 away"
    yield Finding("memory that ends", text, bool(result.again) and away <= NEAR)


CHECKS: tuple[Check, ...] = (jobs, idleness, memory_that_ends, two_workers)
