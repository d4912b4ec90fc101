"""The channel of a clip: nothing is overlapped, nothing hidden."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from blender_addon.clip.placing import LAST_CHANNEL, Taken, above_all, free_from

channels = st.one_of(st.integers(1, 6), st.integers(LAST_CHANNEL - 2, LAST_CHANNEL))
strips = st.lists(
    st.builds(
        lambda channel, start, length: Taken(channel, start, start + length), channels, *[st.integers(1, 20)] * 2
    ),
    max_size=12,
)
closed_ones = st.one_of(
    st.frozensets(channels, max_size=5),
    st.frozensets(channels, max_size=5).map(lambda some: frozenset(range(1, LAST_CHANNEL + 1)) - some),
)
spans = st.tuples(st.integers(1, 40), st.integers(1, 20)).map(lambda span: (span[0], sum(span)))
EVERY = range(1, LAST_CHANNEL + 1)


def used(taken: list[Taken], start: int, end: int) -> set[int]:
    """Channels on which a strip has a frame in the span."""
    return {each.channel for each in taken if set(range(each.start, each.end)) & set(range(start, end))}


@given(strips, spans, closed_ones)
def test_above_everything(taken: list[Taken], span: tuple[int, int], closed: frozenset[int]) -> None:
    top = max(used(taken, *span), default=0)
    possible = [channel for channel in EVERY if channel > top and channel not in closed]
    assert above_all(taken, *span, closed) == (possible[0] if possible else None)


@given(st.integers(-3, LAST_CHANNEL + 1), strips, spans, closed_ones)
def test_the_first_free_channel(lowest: int, taken: list[Taken], span: tuple[int, int], closed: frozenset[int]) -> None:
    possible = [each for each in EVERY if each >= lowest and each not in closed and each not in used(taken, *span)]
    assert free_from(lowest, taken, *span, closed) == (possible[0] if possible else None)


def test_an_empty_edit_begins_at_the_bottom() -> None:
    assert above_all([], 1, 10, frozenset()) == free_from(0, [], 1, 10, frozenset()) == 1


def test_strips_that_end_where_the_clip_begins_are_not_in_its_way() -> None:
    around = [Taken(1, 1, 10), Taken(1, 20, 30), Taken(7, 5, 10)]
    assert above_all(around, 10, 20, frozenset()) == free_from(1, around, 10, 20, frozenset()) == 1
    assert above_all(around, 9, 20, frozenset()) == 8
    assert free_from(1, around, 9, 20, frozenset()) == 2


def test_a_clip_does_not_go_below_another_because_that_channel_is_closed() -> None:
    assert above_all([Taken(2, 1, 10)], 1, 10, frozenset({3, 4})) == 5
    assert above_all([Taken(LAST_CHANNEL, 1, 10)], 1, 10, frozenset()) is None
