"""How much memory a clip takes, from the headers of its models: a process of its own, for it needs torch.

    python -m backend.worker.weighing < QUESTION

QUESTION is a `Question` as JSON; the answer, an `Answer`, comes on standard output. Exit code 1: it cannot be said.
"""

from __future__ import annotations

import sys

import msgspec

from elevator import ElevatorError, devices, estimate, load_shapes

from ..orders import Answer, Question
from .foresight import foresee, peak


def weigh(question: Question) -> Answer:
    """Raises the errors of `load_shapes`."""
    order = question.order
    shapes = load_shapes(order.sources, devices.usual_dtype(question.device))
    cost = estimate(order.plan, shapes, frames=order.frames, height=order.height, width=order.width)
    takes = peak(cost, question.device)
    if not question.there or takes <= question.there:
        return Answer(memory=takes, least=takes if question.there else 0)
    size = order.frames, order.height, order.width
    foreseen = foresee(shapes, order.plan, size, question.device, question.there)
    return Answer(memory=takes, least=foreseen.takes, rungs=foreseen.rungs)


def main() -> int:
    """Answer one question."""
    try:
        answer = weigh(msgspec.json.decode(sys.stdin.buffer.read(), type=Question))
    except ElevatorError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
