"""Whether what networks give is finite, without a wait for the device.

A question about a number that a GPU still computes makes the processor wait, and then the GPU for the processor. So
the answer about a call on CUDA is read when the next one is under way, which also keeps the processor from running
further ahead than one call: progress is told and a clip stopped as on a processor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import NumericsError


@dataclass(eq=False)
class Watch:
    """Looks at the outputs of one network, one after the other."""

    _open: tuple[Callable[[], bool], Callable[[], str]] | None = None
    """The last output's answer and what to say if it is no; None: it has been read."""

    def look(self, output: Tensor, sentence: Callable[[], str]) -> None:
        """Raises NumericsError if this output, or on CUDA the one before it, is not finite."""
        fit = torch.isfinite(output).all()
        if output.device.type == "cuda":
            answer = answer_later(fit)
            self.settle()
            self._open = answer, sentence
        elif not fit:
            raise NumericsError(sentence())

    def settle(self) -> None:
        """Wait for the last output. Raises NumericsError if it is not finite."""
        if self._open is not None:
            (answer, sentence), self._open = self._open, None
            if not answer():
                raise NumericsError(sentence())


def answer_later(fit: Tensor) -> Callable[[], bool]:
    """Have a flag brought from CUDA once it is computed; what is returned waits for it, and for nothing after it."""
    flag = torch.empty((), dtype=torch.bool, pin_memory=True).copy_(fit, non_blocking=True)
    computed = torch.cuda.Event()  # type: ignore[no-untyped-call]
    computed.record(torch.cuda.current_stream(fit.device))

    def answer() -> bool:
        computed.synchronize()
        return bool(flag)

    return answer
