"""Frames on their way: from a worker's line to the server, and from its results to a client, both encrypted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from unittest import mock

from tests.benchmarks import transport
from tests.gpu.parts import Check, Finding, Setting


def lines(setting: Setting) -> Iterator[Finding]:
    """Milliseconds a frame that hardly compresses."""
    side, rounds = (64, 1) if setting.small else (1024, 3)
    made = transport.noise(side)
    with tempfile.TemporaryDirectory() as home, mock.patch.dict(os.environ, ELEVATOR_HOME=home):
        fetch = transport.seconds_to_fetch(transport.leave_result(made), rounds)
    hop = transport.seconds_from_worker(side, rounds)
    for name, seconds in (("worker to server", hop), ("results to client", fetch)):
        frame = seconds / transport.FRAMES * 1e3
        size = sum(map(len, made)) / len(made) / 1e6
        text = f"{frame:.2f} ms a frame of {side} × {side}, {size:.1f} MB"
        yield Finding(name, text, None, {"ms_a_frame": frame})


CHECKS: tuple[Check, ...] = (lines,)
