"""What messages tell beside their fields."""

from __future__ import annotations

from fractions import Fraction

import pytest

from shared_protocol.messages import Done, Generate, Style

JOB = "0" * 32


@pytest.mark.parametrize(("numerator", "denominator"), [(8, 1), (30_000, 1001), (7_992_007_992, 333_000_333)])
def test_a_rate_is_one_exact_number(numerator: int, denominator: int) -> None:
    rate = Fraction(numerator, denominator)
    done = Done(
        job=JOB, frames=1, width=8, height=8, fps_numerator=numerator, fps_denominator=denominator, seed=0, seconds=1
    )
    style = Style(
        name="plain",
        title="Plain",
        description="",
        base="b",
        width=8,
        height=8,
        frames=1,
        fps_numerator=numerator,
        fps_denominator=denominator,
        size_step=8,
        min_size=8,
        max_size=8,
        max_frames=1,
        example_prompt="",
    )
    assert done.fps == style.fps == rate


def test_a_request_without_a_rate_means_the_styles() -> None:
    request = Generate(job=JOB, prompt="a", style="plain", frames=1, width=8, height=8, seed=0)
    assert request.flow_fps is None
    smooth = Generate(
        job=JOB,
        prompt="a",
        style="plain",
        frames=1,
        width=8,
        height=8,
        seed=0,
        flow_fps_numerator=24_000,
        flow_fps_denominator=1001,
    )
    assert smooth.flow_fps == Fraction(24_000, 1001)
