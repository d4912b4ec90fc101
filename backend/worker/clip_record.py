"""The record of a clip: `clip.json`, from which `python -m elevator --again` makes it once more; a contact sheet."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np

from elevator import ModelError
from elevator.clip_record import Clock, record_of
from elevator.pictures.clip_folder import RECORD, SHEET
from elevator.pictures.sheet import encoded_sheet
from elevator.pixels import Pixels
from elevator.provenance import recorded, source_files
from elevator.sidecar import ClipSettings, Device, File, Pictures, encode
from elevator.sources import Sources
from elevator.steps import relay
from shared_protocol.messages import Phase

from ..orders import Sample
from .init_pictures import InitPictures
from .ladder import Way
from .maker import Advance, Extra, Item


class Hashes:
    """Files with their hashes; each is read once, unless it changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int, int], File] = {}

    def of(self, sources: Sources, pictures: Pictures) -> Generator[None, None, tuple[File, ...]]:
        """All files that a clip is made of, but for those that are gone. Yields after each reading."""
        files = []
        for file in source_files(sources, pictures):
            try:
                status = file.path.stat()
                key = (file.path, status.st_size, status.st_mtime_ns)
                if key not in self._known:
                    self._known[key] = recorded(file)
                    yield
            except (OSError, ModelError):
                continue  # the clip is finished; making it again will name what is missing
            known = self._known[key]
            files.append(File(file.source, file.name, known.path, known.size, known.sha256))
        return tuple(files)


class Record:
    """What is known of a clip while it is made."""

    def __init__(self, order: Sample, way: Way, device: Device, start: InitPictures) -> None:
        self._order, self._way, self._device = order, way, device
        self._notes, self._pictures = start.notes, start.files
        self._clock = Clock()
        self._frames: list[Pixels] = []

    def took(self, phase: Phase) -> None:
        """Time was spent on a phase until now."""
        self._clock.spent_on(phase)

    def note(self, *sentences: str) -> None:
        """Something was not understood."""
        self._notes += sentences

    def keep(self, frame: Pixels) -> None:
        """The next frame is finished."""
        self._frames.append(frame)

    def files(self, hashes: Hashes, done: int) -> Generator[Item, None, None]:
        """The files beside the frames. `done`: steps of the clip's work, all of which are done."""
        order, clip = self._order, np.stack(self._frames)
        hashing = hashes.of(order.sources, self._pictures)
        files = yield from relay(hashing, lambda _: Advance("writing", done, done))
        self._clock.spent_on("hashing")
        settings = ClipSettings(
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            travel={},
            preset=order.preset,
            plan=self._way.plan,
            frames=order.frames,
            width=order.width,
            height=order.height,
            seed=order.seed,
            strength=order.strength,
            fps=order.fps,
            style=order.style,
        )
        sources, pictures = order.sources, self._pictures
        sidecar = record_of(clip, sources, pictures, self._device, settings, files, self._notes, self._clock)
        yield Extra(RECORD, encode(sidecar))
        yield Extra(SHEET, encoded_sheet(clip))
