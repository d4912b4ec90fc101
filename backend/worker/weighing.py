"""How much memory a clip takes, from the headers of its models: a process of its own, for it needs torch.

    python -m backend.worker.weighing < QUESTION

QUESTION is a `Question` as JSON; the answer, an `Answer`, comes on standard output. Exit code 1: it cannot be said.
"""

from __future__ import annotations

import os
import sys

import msgspec
import torch

from elevator import ElevatorError, estimate, load_shapes

from ..orders import Answer, Question


def weigh(question: Question) -> Answer:
    """Raises the errors of `load_shapes`."""
    order, processor = question.order, not question.device.startswith("cuda")
    shapes = load_shapes(order.sources, torch.float32 if processor else torch.float16)
    cost = estimate(order.plan, shapes, frames=order.frames, height=order.height, width=order.width)
    return Answer(memory=cost.peak if processor else cost.peak - cost.process)


def main() -> int:
    """Answer one question."""
    if hasattr(os, "nice"):
        os.nice(10)  # a clip that is being made comes first
    try:
        answer = weigh(msgspec.json.decode(sys.stdin.buffer.read(), type=Question))
    except ElevatorError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
