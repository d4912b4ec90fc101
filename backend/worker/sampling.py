"""The real maker: the models of a style, sampled by `elevator`. This and what it imports need torch."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import cast

from elevator import ElevatorError, ModelError, Models, OutOfMemory, Plan, devices, elevate
from elevator.memory import enough_for
from elevator.sidecar import Device
from elevator.sources import Sources
from elevator.steps import relay
from shared_protocol.messages import Phase

from ..failures import Failure
from ..orders import Sample
from .advice import what_would_fit
from .clip_record import Hashes, Record
from .init_pictures import InitPictures, read_init_pictures
from .ladder import TooLittle, Way, begin_with, climb, rungs
from .maker import NO_PICTURES, Advance, Item, Note, Picture
from .shelf import Shelf


class SamplingMaker:
    """Keeps models between jobs. Other LoRAs, embeddings, words and settings read no model from disk."""

    def __init__(self, device: str, memory_budget: int = 0) -> None:
        """`device`: "cpu", "cuda", "cuda:1", "xpu", "mps" and so on, or "auto".

        `memory_budget`: as `Shelf` takes it, bytes.
        """
        self.device = device = devices.resolved(device)
        self._on_processor = not devices.is_gpu(device)
        self._dtype = devices.usual_dtype(device)
        self._shelf = Shelf(device, self._dtype, memory_budget)
        self._hashes = Hashes()
        self._ways: dict[tuple[str, str, int, int, int, Plan], Way] = {}
        """How clips were made whose memory was not enough at first."""

    @property
    def memory(self) -> int:
        """See Maker: as much as a job may take now."""
        return devices.limit(self.device)

    @property
    def loads(self) -> int:
        """How many networks were read from disk."""
        return self._shelf.loads

    def make(
        self,
        order: Sample,
        pictures: Mapping[str, str] = NO_PICTURES,
        cautious: bool = False,
        rungs: Sequence[int] = (),
    ) -> Generator[Item, None, None]:
        """See Maker."""
        try:
            yield from self._make(order, pictures, cautious, rungs)
        except OutOfMemory as error:  # even while looking for what would fit
            raise Failure("out_of_memory") from error
        except ModelError as error:
            raise Failure("model_unfit", detail=_clause(error)) from error
        except ElevatorError as error:
            raise Failure("bad_request", detail=_clause(error)) from error

    def _make(
        self, order: Sample, pictures: Mapping[str, str], cautious: bool, foreseen: Sequence[int]
    ) -> Generator[Item, None, None]:
        plan = order.plan
        start = yield from read_init_pictures(order, pictures)
        yield from map(Note, start.notes)
        clip = (order.sources.t2i, order.sources.t2v, order.frames, order.height, order.width, plan)
        side = max(order.height, order.width)
        if clip in self._ways:
            way = self._ways[clip]
            yield Note("Memory is saved as for the clip of this kind before.")
        else:
            ladder = rungs(plan, order.frames, side, self._on_processor)
            way, sentence = begin_with(Way(plan), ladder, () if cautious else foreseen)
            if sentence:
                yield Note(sentence)
        ladder = rungs(way.plan, order.frames, side, self._on_processor)
        try:
            made = yield from climb(way, ladder, partial(self._attempt, order, start), cautious)
        except TooLittle as error:
            size = (order.frames, order.height, order.width)
            advice = what_would_fit(order.sources, self._dtype, self.device, error.way, size, error.phase)
            raise Failure("out_of_memory", detail=advice) from error
        if made != Way(plan) and not cautious:
            self._ways[clip] = made

    def _attempt(self, order: Sample, start: InitPictures, way: Way) -> Generator[Item, None, None]:
        """Make the clip in one way. Raises OutOfMemory."""
        devices.limit(self.device)
        offload = way.offload and not self._on_processor
        device = Device(self.device, str(self._dtype).removeprefix("torch."), offload)
        record = Record(order, way, device, start)
        models = yield from self._models(order.sources, offload, alone=way.offload)
        record.took("loading")
        steps = elevate(
            models,
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            plan=way.plan,
            frames=order.frames,
            height=order.height,
            width=order.width,
            seed=order.seed,
            init_frames=start.frames,
            strength=order.strength,
            anchor_frame=start.anchor,
        )
        done = 0
        for step in steps:
            phase, done = cast("Phase", step.phase), step.index
            record.took(phase)
            record.note(*step.notes)
            yield from map(Note, step.notes)
            if step.frame is not None:
                record.keep(step.frame[1])
                yield Picture(*step.frame)
            yield Advance(phase, step.index, step.total, step.preview)
        yield from record.files(self._hashes, done)

    def _models(self, sources: Sources, offload: bool, alone: bool) -> Generator[Item, None, Models]:
        """The models with their LoRAs and embeddings."""
        models = yield from relay(
            self._shelf.take(sources, offload, alone),
            lambda step: Advance("loading", 0, 0, bytes_done=step.done, bytes_total=step.total),
        )
        with enough_for("loading"):
            return models.with_sources(sources)


def _clause(error: Exception) -> str:
    return str(error).rstrip(".")
