"""Sizes: whatever is chosen, typed or clicked, the style can make."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.clip.sizes import legal, nearest, snapped
from shared_protocol.messages import Style
from tests.addon.sessions import STYLE


@st.composite
def every_style(draw: st.DrawFn) -> Style:
    """Styles whose own size is one that they make, with limits that need not be multiples of the step."""
    step = draw(st.sampled_from([8, 16, 24, 64]))
    width, height = (step * draw(st.integers(1, 20)) for _ in range(2))
    least = max(8, min(width, height) - draw(st.integers(0, 200)))
    return msgspec.structs.replace(
        STYLE,
        size_step=step,
        width=width,
        height=height,
        min_size=least,
        max_size=max(width, height) + draw(st.integers(0, 300)),
    )


styles = every_style()
aspects = st.fractions(Fraction(1, 10), 10, max_denominator=100)
XL = msgspec.structs.replace(STYLE, size_step=64, width=512, height=512, min_size=256, max_size=1024)


def makes(style: Style, side: int) -> bool:
    """The backend's own rule."""
    return style.min_size <= side <= style.max_size and side % style.size_step == 0


@given(styles)
def test_legal_is_what_the_backend_allows_and_all_of_it(style: Style) -> None:
    assert list(legal(style)) == [side for side in range(2000) if makes(style, side)]


@given(styles, aspects)
def test_the_nearest_size_can_be_made(style: Style, aspect: Fraction) -> None:
    width, height = nearest(style, aspect)
    assert makes(style, width)
    assert makes(style, height)
    assert not any(abs(other - height * aspect) < abs(width - height * aspect) for other in legal(style))


@given(styles)
def test_nothing_is_nearer_than_the_styles_own_size(style: Style) -> None:
    assert nearest(style, Fraction(style.width, style.height)) == (style.width, style.height)


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (Fraction(1), (512, 512)),
        (Fraction(16, 9), (704, 384)),
        (Fraction(9, 16), (384, 704)),
        (Fraction(4, 3), (576, 448)),
        (Fraction(100), (1024, 256)),
        (Fraction(1, 100), (256, 1024)),
    ],
)
def test_usual_aspects(aspect: Fraction, size: tuple[int, int]) -> None:
    assert nearest(XL, aspect) == size


@given(styles, st.integers(0, 9000), st.integers(0, 9000))
def test_what_is_typed_becomes_legal_and_goes_no_further_than_a_step(style: Style, value: int, before: int) -> None:
    side = snapped(value, before, style)
    assert makes(style, side)
    sides = legal(style)
    if sides[0] <= value <= sides[-1]:
        assert abs(side - value) < style.size_step
        assert side <= value if value < before else side >= value
    else:
        assert side == (sides[0] if value < sides[0] else sides[-1])


@given(styles, st.data())
def test_a_click_moves_by_one_step(style: Style, data: st.DataObject) -> None:
    sides = legal(style)
    before = data.draw(st.sampled_from(sides))
    click = data.draw(st.integers(1, 8))
    assert snapped(before + click, before, style) == min(before + style.size_step, sides[-1])
    assert snapped(before - click, before, style) == max(before - style.size_step, sides[0])
    assert snapped(before, before, style) == before
