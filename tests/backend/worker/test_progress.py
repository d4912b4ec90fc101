"""How often progress speaks, and what it promises. The clock is a number."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.worker.maker import Advance, Clip
from backend.worker.preview import PREVIEW_HEIGHT, PREVIEW_WIDTH, side_by_side
from backend.worker.progress import PREVIEW_SECONDS, PROGRESS_SECONDS, Reporter
from elevator.pictures.encoding import encoded
from shared_protocol.messages import Phase

JOB = "0" * 32


def clip() -> Clip:
    return np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)


def advance(step: int, phase: Phase = "painting", steps: int = 100) -> Advance:
    return Advance(phase, step, steps, clip)


def test_it_speaks_at_most_twenty_times_a_second() -> None:
    reporter = Reporter(JOB, previews=False)
    spoken = [now for now in np.arange(0, 2, 0.001) if reporter.report(advance(int(now * 1000)), now)]
    assert 30 <= len(spoken) <= 2 / PROGRESS_SECONDS + 1
    assert min(np.diff(spoken)) >= PROGRESS_SECONDS


def test_it_speaks_again_as_soon_as_it_may() -> None:
    reporter = Reporter(JOB, previews=True)
    assert [bool(reporter.report(advance(1), now)) for now in (0.0, 0.04, PROGRESS_SECONDS)] == [True, False, True]
    told = [reporter.report(advance(2), now) for now in (1.0, 1.4, 1.0 + PREVIEW_SECONDS)]
    assert [report[0].preview_frames for report in told if report] == [3, 0, 3]


def test_bytes_that_were_read_are_told() -> None:
    report = Reporter(JOB, previews=False).report(Advance("loading", 0, 0, bytes_done=3, bytes_total=7), 0.0)
    assert report is not None
    assert (report[0].job, report[0].bytes_done, report[0].bytes_total) == (JOB, 3, 7)


def test_while_files_are_written_all_steps_are_done_and_nothing_is_left() -> None:
    reporter = Reporter(JOB, previews=True)
    reporter.report(advance(5, steps=9), 0.0)
    told, buffers = reporter.writing(1.0)
    assert (told.phase, told.step, told.steps, told.seconds_left, buffers) == ("writing", 9, 9, 0.0, ())
    assert reporter.report(advance(9, "writing", 9), 1.01) is None, "that was said just now"


def test_a_new_phase_is_always_said() -> None:
    reporter = Reporter(JOB, previews=False)
    phases: list[Phase] = ["text", "painting", "refining", "painting"]
    assert all(reporter.report(advance(step, phase), step * 0.001) for step, phase in enumerate(phases))


def test_previews_come_at_most_twice_a_second_and_only_if_asked() -> None:
    asked, unasked = Reporter(JOB, previews=True), Reporter(JOB, previews=False)
    shown = []
    for now in np.arange(0, 3, 0.01):
        if (report := asked.report(advance(int(now * 30)), now)) and report[0].preview_frames:
            shown.append(now)
            assert report[0].preview_frames == 3
            assert len(report[1]) == 1
        if report := unasked.report(advance(int(now * 30)), now):
            assert report[0].preview_frames == 0
            assert not report[1]
    assert len(shown) >= 5
    assert min(np.diff(shown)) >= PREVIEW_SECONDS


def test_no_preview_yet_is_no_preview() -> None:
    report = Reporter(JOB, previews=True).report(Advance("text", 1, 10), 0.0)
    assert report is not None
    assert report[0].preview_frames == 0


def test_the_time_left_is_measured_and_not_promised_too_early() -> None:
    reporter = Reporter(JOB, previews=False)
    left = []
    reporter.report(Advance("loading", 0, 0), 0.0)
    for step in range(1, 101):
        report = reporter.report(advance(step), 60.0 + step * 0.5)  # reading the models took a minute
        assert report is not None
        left.append(report[0].seconds_left)
    assert left[:3] == [None] * 3
    assert left[3] == 48.0
    assert left[-1] == 0.0


def test_work_that_counts_anew_is_measured_anew() -> None:
    reporter = Reporter(JOB, previews=False)
    for step in range(1, 11):
        reporter.report(advance(step, "painting", 10), float(step))
    for step in range(1, 9):  # ten times as fast
        told = reporter.report(advance(step, "conforming", 48), 10 + step / 10)
        assert told is not None
        assert told[0].seconds_left == (None if step < 4 else (48 - step) / 10)


def test_a_clip_that_is_begun_anew_is_measured_anew() -> None:
    reporter = Reporter(JOB, previews=False)
    reporter.report(advance(1), 0.0)
    reporter.begin_anew()
    assert reporter.report(advance(1), 0.01) is not None, "it is told at once"
    reporter.begin_anew()
    reporter.report(advance(1), 100.0)
    told = reporter.report(advance(4), 103.0)
    assert told is not None
    assert told[0].seconds_left == 96.0


def test_two_kinds_of_work_at_one_step_are_one_measurement() -> None:
    reporter = Reporter(JOB, previews=False)
    for step, phase, now in ((1, "painting", 0.0), (3, "painting", 2.0), (3, "refining", 3.0)):
        reporter.report(advance(step, phase), now)  # type: ignore[arg-type]
    told = reporter.report(advance(4), 4.0)
    assert told is not None
    assert told[0].seconds_left == 128.0


def test_a_count_that_goes_too_far_promises_no_time_that_goes_back() -> None:
    reporter = Reporter(JOB, previews=False)
    reporter.report(advance(1, steps=10), 0.0)
    told = reporter.report(advance(12, steps=10), 11.0)
    assert told is not None
    assert told[0].seconds_left == 0.0
    told = reporter.report(advance(7 + 6, steps=16), 13.0)
    assert told is not None
    assert told[0].seconds_left == 3.2, "in tenths"


def test_a_png_holds_the_same_pixels() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    decoded = cv2.imdecode(np.frombuffer(encoded(frame), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(np.asarray(decoded), frame)


def test_a_strip_holds_the_frames_from_the_left() -> None:
    decoded = cv2.imdecode(np.frombuffer(side_by_side(clip()), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(np.asarray(decoded), np.concatenate(list(clip()), axis=1))


def test_a_strip_stays_small() -> None:
    for frames, height, width in ((16, 512, 512), (200, 64, 64), (1024, 32, 32), (1, 2000, 10)):
        data = side_by_side(np.zeros((frames, height, width, 3), np.uint8))
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.shape[0] <= PREVIEW_HEIGHT
        assert decoded.shape[1] <= PREVIEW_WIDTH
        assert decoded.shape[1] % frames == 0


@pytest.mark.parametrize(
    ("shape", "strip"),
    [
        ((1, 2000, 10), (PREVIEW_HEIGHT, 1)),
        ((1, 1, 2 * PREVIEW_WIDTH), (1, PREVIEW_WIDTH)),
        ((2, PREVIEW_HEIGHT, 50), (PREVIEW_HEIGHT, 100)),
        ((2, 2 * PREVIEW_HEIGHT, 100), (PREVIEW_HEIGHT, 100)),
    ],
)
def test_a_strip_is_as_large_as_it_may_be(shape: tuple[int, ...], strip: tuple[int, int]) -> None:
    data = side_by_side(np.zeros((*shape, 3), np.uint8))
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape[:2] == strip
