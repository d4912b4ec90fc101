"""Chunks and windows: every frame counts once, whatever the lengths."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.spans import chunks, windows


@given(st.integers(1, 80), st.none() | st.integers(1, 90))
def test_chunks_follow_each_other(frames, size):
    spans = chunks(frames, size)
    assert [k for span in spans for k in range(span.start, span.stop)] == list(range(frames))
    assert all(span.stop - span.start == (size or frames) for span in spans[:-1])
    assert [span.weights for span in spans] == [(1.0,) * (span.stop - span.start) for span in spans]


@given(st.integers(1, 80), st.integers(1, 20).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_windows_share_their_overlap_and_their_weights_sum_to_one(frames, drawn):
    size, overlap = drawn
    spans = windows(frames, size, overlap)
    sums = [0.0] * frames
    for span in spans:
        assert overlap < span.stop - span.start <= size or frames <= size
        assert min(span.weights) > 0
        for k, weight in zip(range(span.start, span.stop), span.weights, strict=True):
            sums[k] += weight
    assert sums == pytest.approx([1.0] * frames)
    assert (spans[0].start, spans[-1].stop) == (0, frames)
    assert all(before.stop - after.start == overlap for before, after in pairwise(spans))
    lengths = [span.stop - span.start for span in spans]
    assert max(lengths) - min(lengths) <= 1
    needed = 1
    while needed * size - (needed - 1) * overlap < frames:
        needed += 1
    assert len(spans) == needed


def test_weights_go_over_in_a_straight_line():
    first, second = windows(12, 8, 4)
    assert first.weights == pytest.approx((1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2))
    assert second.weights == pytest.approx((0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1))


def test_long_clips_take_few_windows_more_than_they_are_long():
    assert [span.stop - span.start for span in windows(64, 16, 4)] == [16] * 5
    assert sorted(span.stop - span.start for span in windows(64, 16, 2)) == [14, 14, 14, 15, 15]
    assert [span.stop - span.start for span in windows(64, 16, 0)] == [16] * 4
