"""A maker without models: a disc moves over a ground of another colour, the same for the same prompt and seed.

It moves by about a third of the picture, which optical flow can follow. Tests and the user interface are made with it.
It goes through the phases of the real one. In the prompt `fail:CODE` fails half-way with that code of the protocol,
`fail:crash` ends the process, `fail:hang` stops answering, `fail:crash-once` and `fail:hang-once` do so in the first
try alone, and `unknown:WORD` is a word that this maker does not know.
The environment variable ELEVATOR_FAKE_STEP_SECONDS sets the length of a step, in seconds; `slow:SECONDS` in the prompt
does so for one clip. `grain:LEVELS` adds so much noise, standard deviation, of 255: PNG files as large as those of
photographs.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from typing import get_args

import cv2
import msgspec
import numpy as np

from elevator.pictures.clip_folder import RECORD, SHEET
from elevator.pictures.sheet import encoded_sheet
from shared_protocol.messages import FailureCode, Phase

from ..failures import Failure
from ..orders import Sample
from .maker import NO_PICTURES, Advance, Clip, Extra, Item, Picture

STEPS = 20
STEP_SECONDS = 0.05
PREVIEW_PX = 32
CRASH_EXIT_CODE = 70
SUBPIXEL_BITS = 4
SUBPIXELS = 1 << SUBPIXEL_BITS
"""Steps of a pixel in which the disc moves, so that no two frames of a clip are the same."""
FAILURES: dict[str, FailureCode] = {code: code for code in get_args(FailureCode)}


class FakeMaker:
    """Makes test pictures."""

    device = "none"

    def __init__(self) -> None:
        self._loaded = False
        self._step_seconds = float(os.environ.get("ELEVATOR_FAKE_STEP_SECONDS", STEP_SECONDS))
        self._pause = threading.Event()  # never set: waiting for it is a sleep that a signal can end

    @property
    def memory(self) -> int:
        """It works on no GPU."""
        return 0

    @property
    def loads(self) -> int:
        """It pretends to read its models once."""
        return int(self._loaded)

    def make(
        self,
        order: Sample,
        pictures: Mapping[str, str] = NO_PICTURES,
        cautious: bool = False,
        rungs: Sequence[int] = (),
    ) -> Generator[Item, None, None]:
        """See Maker."""
        if not self._loaded:
            yield Advance("loading", 0, 0)
            self._loaded = True
        steps = STEPS + order.frames
        clip, step_seconds = _paint(order), _number(order.prompt, "slow", self._step_seconds)
        yield Advance("text", 1, steps)
        for step in range(2, STEPS + 1):
            self._pause.wait(step_seconds)
            if step == STEPS // 2:
                _follow_script(order, cautious)
            yield Advance(_phase(step), step, steps, lambda done=step: _draft(clip, done / STEPS))  # type: ignore[misc]
        for index in range(order.frames):
            yield Picture(index, clip[index])
            yield Advance("decoding", STEPS + index + 1, steps, lambda: _draft(clip, 1.0))
        yield Extra(SHEET, encoded_sheet(clip))
        yield Extra(RECORD, msgspec.json.encode({"made_with": "test pictures", "order": order}))


def _number(prompt: str, name: str, usual: float) -> float:
    """What `name:NUMBER` in the prompt says."""
    told = [word.removeprefix(f"{name}:") for word in prompt.split() if word.startswith(f"{name}:")]
    return float(told[0]) if told else usual


def _phase(step: int) -> Phase:
    if step % 5 == 0:
        return "refining"
    return "inverting" if step % 5 == 1 else "painting"


def _follow_script(order: Sample, cautious: bool) -> None:
    for word in order.prompt.split():
        if not word.startswith("fail:"):
            continue
        code = word.removeprefix("fail:")
        if code.endswith("-once"):
            if cautious:
                continue
            code = code.removesuffix("-once")
        if code == "crash":
            os._exit(CRASH_EXIT_CODE)
        if code == "hang":
            threading.Event().wait()
        if (known := FAILURES.get(code)) is not None:
            raise Failure(known, **dict.fromkeys(("detail", "folder", "log"), "as the prompt asked"))


def _paint(order: Sample) -> Clip:
    words = f"{order.prompt}\n{order.negative_prompt}\n{order.seed}\n{[lora.path for lora in order.sources.loras]}"
    number = np.random.default_rng(np.frombuffer(hashlib.sha256(words.encode()).digest(), np.uint32))
    ground = number.integers(40, 216, 3)
    disc = 40 + (ground - 40 + number.integers(44, 132, 3)) % 176  # at least 44 levels away from it in each colour
    size = np.array((order.width, order.height))
    middle, angle, travel = number.uniform(0.4, 0.6, 2) * size, number.uniform(0, 2 * np.pi), number.uniform(0.3, 0.4)
    path = travel * size.min() * np.array((np.cos(angle), np.sin(angle)))
    radius, grain = int(size.min()) // 5, _number(order.prompt, "grain", 0.0)
    fall = np.linspace(1.0, 0.6, order.height)[:, None, None]
    back = np.broadcast_to(ground * fall, (order.height, order.width, 3)).astype(np.uint8)
    clip = np.empty((order.frames, order.height, order.width, 3), np.uint8)
    for index, way in enumerate(np.linspace(-0.5, 0.5, order.frames)):
        frame = back.copy()
        x, y = np.rint((middle + path * way) * SUBPIXELS).astype(int).tolist()
        cv2.circle(frame, (x, y), radius * SUBPIXELS, disc.tolist(), -1, cv2.LINE_AA, SUBPIXEL_BITS)
        if grain:
            noise = number.normal(0, grain, frame.shape).astype(np.float32)
            frame = (frame + noise).clip(0, 255).astype(np.uint8)
        clip[index] = frame
    return clip


def _draft(clip: Clip, done: float) -> Clip:
    """The clip as it looks when a share `done` (0 … 1) of the work is done: small, and grey at first."""
    height, width = clip.shape[1:3]
    scale = min(1.0, PREVIEW_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in clip])
    return (small * done + 128 * (1 - done)).astype(np.uint8)
