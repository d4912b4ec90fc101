"""What clips would take: the time from earlier ones, the memory from the headers of their models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from elevator.calls import calls_of
from shared_protocol.messages import Estimate, Generate

from ..failures import Failure
from ..orders import Sample
from ..serve_options import ServeOptions
from ..styles.catalogue import Catalogue
from .devices import likely_device
from .requests import FindUpload, resolve
from .scheduler import Scheduler
from .weigher import Weigher


class Estimates:
    """Answers to clients that ask what a clip would take."""

    def __init__(
        self, options: ServeOptions, catalogue: Callable[[], Catalogue], scheduler: Scheduler, upload: FindUpload
    ) -> None:
        """`catalogue`: the styles as they are now."""
        self._options, self._catalogue, self._scheduler, self._upload = options, catalogue, scheduler, upload
        self._weigher = Weigher()

    def ask(self, client: bytes, clip: Generate) -> Estimate:
        """What a clip would take, with its memory if that is known already, or why it cannot be made."""
        try:
            order = self._resolved(clip)
            memory = 0 if self._options.fake else self._weigher.ask(client, clip, order, self._device)
        except Failure as error:
            return Estimate(job=clip.job, problem=error.sentence, next_step=error.next_step)
        return self._estimate(clip, order, memory)

    def look(self) -> Iterator[tuple[bytes, Estimate]]:
        """What was found out since the last look, and which client has asked."""
        for client, clip, memory in self._weigher.look():
            with suppress(Failure):  # its picture or model has gone meanwhile: whoever asks again hears of it
                yield client, self._estimate(clip, self._resolved(clip), memory)

    def forget(self, client: bytes) -> None:
        """The client has gone."""
        self._weigher.forget(client)

    def close(self) -> None:
        """End what is being found out."""
        self._weigher.close()

    @property
    def _device(self) -> str:
        return self._scheduler.device or likely_device(self._options.device)

    def _resolved(self, clip: Generate) -> Sample:
        """Raises Failure."""
        return resolve(clip, self._catalogue(), fake=self._options.fake, upload=self._upload)[0]

    def _estimate(self, clip: Generate, order: Sample, memory: int | None) -> Estimate:
        return Estimate(
            job=clip.job,
            calls=calls_of(order.plan).total,
            seconds=self._scheduler.seconds_of(order),
            memory=memory or 0,
            more=memory is None,
        )
