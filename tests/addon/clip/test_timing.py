"""A clip in a scene of another frame rate: the same frames as the backend's own conforming shows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.clip.timing import flow_rate, frames_in, length, shown
from elevator.pictures import rates as backends
from elevator.pictures.conform import conform

rates = st.one_of(
    st.sampled_from([Fraction(8), Fraction(24), Fraction(25), Fraction(24_000, 1001), Fraction(30_000, 1001)]),
    st.fractions(1, 120, max_denominator=1001),
)


@given(st.integers(1, 1024), rates, rates)
def test_a_clip_is_as_long_as_the_backend_would_make_it(frames: int, fps: Fraction, rate: Fraction) -> None:
    assert length(frames, fps, rate) == backends.length(frames, fps, rate)


@settings(deadline=None)  # OpenCV's first call takes its time
@given(st.integers(1, 24), rates, rates)
def test_what_is_shown_is_what_the_backends_hold_shows(frames: int, fps: Fraction, rate: Fraction) -> None:
    pictures = [np.full((1, 1, 3), index, np.uint8) for index in range(frames)]
    held = [int(pixels[0, 0, 0]) for pixels in conform(pictures, fps, rate, "hold")]
    assert list(shown(frames, fps, rate)) == held


@given(st.fractions(Fraction(1, 1000), 1_000_000, max_denominator=100_000))
def test_a_scenes_rate_fits_a_request(rate: Fraction) -> None:
    near = flow_rate(rate)
    assert 1 <= near.numerator <= 1_000_000
    assert 1 <= near.denominator <= 1_000_000
    assert abs(near - rate) / rate < Fraction(1, 100_000) or rate.numerator <= 1_000_000
    assert near == rate or rate.numerator > 1_000_000


@given(st.integers(1, 200), rates)
def test_at_its_own_rate_each_frame_is_shown_once(frames: int, fps: Fraction) -> None:
    assert shown(frames, fps, fps) == shown(frames, fps, None) == tuple(range(frames))


@pytest.mark.parametrize(
    ("frames", "fps", "rate", "seen"),
    [
        (2, 8, Fraction(24), (0, 0, 0, 1, 1, 1)),
        (4, 24, Fraction(12), (0, 2)),
        (3, 24, Fraction(12), (0, 2)),  # one frame and a half: a half goes up
        (1, 24, Fraction(1), (0,)),  # never none
        (4, 8, Fraction(30_000, 1001), (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3)),
    ],
)
def test_examples(frames: int, fps: int, rate: Fraction, seen: tuple[int, ...]) -> None:
    assert shown(frames, Fraction(fps), rate) == seen
    assert length(frames, Fraction(fps), rate) == len(seen)


@given(st.integers(1, 1024), rates)
def test_a_clip_of_so_many_seconds_has_so_many_frames(frames: int, fps: Fraction) -> None:
    assert frames_in(frames / fps, fps) == frames


@pytest.mark.parametrize(("seconds", "frames"), [(0, 1), (Fraction(1, 100), 1), (2, 16), (Fraction(3, 16), 2)])
def test_seconds_are_kept_to_the_nearest_frame(seconds: Fraction, frames: int) -> None:
    assert frames_in(Fraction(seconds), Fraction(8)) == frames
