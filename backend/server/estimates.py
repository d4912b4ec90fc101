"""What clips would take: the time from earlier ones, the memory from the headers of their models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from elevator.calls import calls_of
from shared_protocol.messages import Estimate, Generate

from ..failures import Failure
from ..machine_memory import machine_memory
from ..orders import Answer, Sample
from ..serve_options import ServeOptions
from ..styles.catalogue import Catalogue
from .devices import likely_device
from .requests import FindUpload, resolve
from .scheduler import Scheduler
from .weigher import CANNOT_SAY, Weigher

TOO_LARGE = (
    "The clip may fail: even with all measures that save memory it is expected to take {least} GB, and {device} has"
    " {most} GB. Fewer frames or a smaller size take less."
)


class Estimates:
    """Answers to clients that ask what a clip would take."""

    def __init__(
        self, options: ServeOptions, catalogue: Callable[[], Catalogue], scheduler: Scheduler, upload: FindUpload
    ) -> None:
        """`catalogue`: the styles as they are now."""
        self._options, self._catalogue, self._scheduler, self._upload = options, catalogue, scheduler, upload
        self._weigher = Weigher()
        # Once: neither changes, and to look takes a descriptor, which is not always to be had.
        self._guess, self._machine = likely_device(options.device), machine_memory()

    def ask(self, client: bytes, clip: Generate) -> Estimate:
        """What a clip would take, with its memory if that is known already, or why it cannot be made."""
        try:
            order = self._resolved(clip)
            weight = CANNOT_SAY if self._options.fake else self._weigher.ask(client, clip, order, *self._place)
        except Failure as error:
            return Estimate(job=clip.job, problem=error.sentence, next_step=error.next_step)
        return self._estimate(clip, order, weight)

    def foresee(self, order: Sample) -> tuple[str, ...]:
        """A warning if it is known already that the clip will not fit. For a GPU it is found out else, for its turn.

        Takes no time. Whoever samples on a processor has no time to lose to that.
        """
        device, there = self._place
        known = self._weigher.known(order, device, there)
        if known is None and self._scheduler.memory and not self._options.fake:
            self._weigher.foresee(order, device, there)
        if known is None or known.least <= there:
            return ()
        least, most = f"{known.least / 1e9:.1f}", f"{there / 1e9:.1f}"
        return (TOO_LARGE.format(device=device, least=least, most=most),)

    def rungs(self, order: Sample) -> tuple[int, ...]:
        """Measures that the clip is known to need on the GPU."""
        known = self._weigher.known(order, *self._place) if self._scheduler.memory else None
        return known.rungs if known else ()

    def look(self) -> Iterator[tuple[bytes, Estimate]]:
        """What was found out since the last look, and which client has asked."""
        for client, clip, weight in self._weigher.look():
            with suppress(Failure):  # its picture or model has gone meanwhile: whoever asks again hears of it
                yield client, self._estimate(clip, self._resolved(clip), weight)

    def forget(self, client: bytes) -> None:
        """The client has gone."""
        self._weigher.forget(client)

    def close(self) -> None:
        """End what is being found out."""
        self._weigher.close()

    @property
    def _place(self) -> tuple[str, int]:
        """Where sampling happens, and bytes of memory there; 0 where only a worker knows, and none has told yet."""
        device = self._scheduler.device or self._guess
        return device, self._scheduler.memory or (self._machine if device == "cpu" else 0)

    def _resolved(self, clip: Generate) -> Sample:
        """Raises Failure."""
        return resolve(clip, self._catalogue(), fake=self._options.fake, upload=self._upload)[0]

    def _estimate(self, clip: Generate, order: Sample, weight: Answer | None) -> Estimate:
        return Estimate(
            job=clip.job,
            calls=calls_of(order.plan).total,
            seconds=self._scheduler.seconds_of(order),
            memory=weight.memory if weight else 0,
            more=weight is None,
        )
