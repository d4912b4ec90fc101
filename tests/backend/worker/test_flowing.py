"""Clips with pictures along the optical flow: what a maker makes, at another rate."""

from __future__ import annotations

import json
from collections.abc import Generator
from fractions import Fraction

import msgspec
import numpy as np
import pytest

from backend.failures import Failure
from backend.orders import Sample
from backend.worker.fake import FakeMaker
from backend.worker.flowing import with_flow
from backend.worker.maker import Advance, Extra, Item, Note, Picture
from elevator import Plan, Sources
from elevator.pictures.clip_folder import RECORD, SHEET
from elevator.pictures.conform import conform
from elevator.sidecar import Sidecar
from tests.backend.worker.test_conforming import clip

RATE = Fraction(24000, 1001)
SOURCES = Sources(t2i="plain", t2v="plain")


def order(frames: int = 4, fps: tuple[int, int] | None = (24000, 1001)) -> Sample:
    return Sample(
        prompt="a square",
        negative_prompt="",
        sources=SOURCES,
        plan=Plan(),
        frames=frames,
        width=32,
        height=24,
        fps=8.0,
        seed=7,
        flow_fps=fps,
    )


def made(*first: Item, frames: int = 4) -> Generator[Item, None, None]:
    """As a maker makes `clip`, after some other items."""
    yield from first
    for index, pixels in enumerate(clip(frames)):
        yield Picture(index, pixels)
        yield Advance("decoding", 10 + index, 10 + frames)
    yield Extra(SHEET, b"sheet")
    yield Extra(RECORD, b'{"frames": ["one"]}')


def pictures(items: list[Item]) -> list[Picture]:
    return [item for item in items if isinstance(item, Picture)]


def test_pictures_are_those_of_the_flow() -> None:
    items = list(with_flow(made(), order()))
    expected = list(conform(clip(4), Fraction(8), RATE, "flow"))
    assert len(expected) == 12
    assert [each.index for each in pictures(items)] == list(range(12))
    assert all(np.array_equal(each.pixels, right) for each, right in zip(pictures(items), expected, strict=True))
    assert not np.array_equal(expected[1], expected[0]), "between the clip's own there are others"


def test_progress_counts_the_new_pictures_after_the_clips_own_work() -> None:
    items = list(with_flow(made(), order()))
    told = [(item.phase, item.step, item.steps) for item in items if isinstance(item, Advance)]
    assert told[:4] == [("decoding", 10 + index, 14) for index in range(4)]
    assert told[4:] == [("conforming", index, 12) for index in range(1, 13)]
    assert isinstance(items[4], Picture), "nothing is kept before the clip's last own picture is there"


def test_files_come_after_all_pictures_and_the_record_tells_the_rate() -> None:
    *_, sheet, record = with_flow(made(), order())
    assert isinstance(sheet, Extra)
    assert isinstance(record, Extra)
    assert [(sheet.name, sheet.data), record.name] == [(SHEET, b"sheet"), RECORD]
    assert json.loads(record.data) == {"frames": ["one"], "flow_fps": "24000/1001"}
    assert "flow_fps" in Sidecar.__struct_fields__


def test_a_clip_that_is_begun_anew_has_no_picture_of_its_first_try() -> None:
    begun = (Picture(0, np.zeros((24, 32, 3), np.uint8)), Note("Less memory.", again=True), Note("A word."))
    items = list(with_flow(made(*begun), order()))
    assert [item.sentence for item in items if isinstance(item, Note)] == ["Less memory.", "A word."]
    expected = list(conform(clip(4), Fraction(8), RATE, "flow"))
    assert all(np.array_equal(each.pixels, right) for each, right in zip(pictures(items), expected, strict=True))


def test_one_picture_is_shown_for_its_time() -> None:
    items = pictures(list(with_flow(made(frames=1), order(1, (24, 1)))))
    assert [each.index for each in items] == [0, 1, 2]
    assert all(np.array_equal(each.pixels, clip(1)[0]) for each in items)


def test_the_maker_is_closed_with_it() -> None:
    closed = []

    def maker() -> Generator[Item, None, None]:
        try:
            yield from made()
        finally:
            closed.append(True)

    items = with_flow(maker(), order())
    next(items)
    items.close()
    assert closed


def test_its_failures_pass() -> None:
    with pytest.raises(Failure):
        list(with_flow(FakeMaker().make(msgspec.structs.replace(order(), prompt="fail:internal")), order()))


@pytest.mark.parametrize(
    ("frames", "fps", "expected"), [(16, None, (16, 8)), (16, (24, 1), (48, 24)), (5, (24000, 1001), (15, RATE))]
)
def test_an_order_knows_its_result(frames: int, fps: tuple[int, int] | None, expected: tuple[int, Fraction]) -> None:
    asked = order(frames, fps)
    assert (asked.result_frames, asked.result_fps) == expected
