"""Starting noise: its correlation, and its independence of the clip's length."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elevator.chain.noise import chain_noise, draw, frame_noise, mix, starting_noise

SHAPE = (4, 5, 6)


@pytest.mark.parametrize("alpha", [0, 0.5, 1, 1.5, 4])
def test_correlation_between_frames(alpha):
    z = starting_noise(3, alpha, 4, (4, 100, 100)).flatten(1)
    correlation = torch.corrcoef(z)[~torch.eye(4, dtype=torch.bool)]
    assert correlation.tolist() == pytest.approx([alpha**2 / (1 + alpha**2)] * 12, abs=0.02)
    assert z.std(dim=1).tolist() == pytest.approx([1] * 4, abs=0.02)


@given(st.integers(), st.integers(1, 9), st.integers(1, 9), st.floats(0, 10))
def test_a_frame_does_not_depend_on_the_clip_length(seed, short, long, alpha):
    short, long = sorted((short, long))
    assert torch.equal(starting_noise(seed, alpha, short, SHAPE), starting_noise(seed, alpha, long, SHAPE)[:short])
    drawn = [chain_noise(seed, frames, SHAPE, "refine", 1) for frames in (short, long)]
    assert torch.equal(drawn[0], drawn[1][:short])


@given(st.integers(), st.integers())
def test_the_seed_alone_decides(seed, other):
    same = torch.equal(draw(seed, "frame", SHAPE), draw(other, "frame", SHAPE))
    assert same == (seed == other)


def test_draws_of_different_streams_are_unrelated():
    shape = (100, 100)
    draws = [draw(1, "shared", shape), draw(1, "frame", shape), draw(1, "frame", shape, 1)]
    draws += [chain_noise(1, 1, shape, "refine", n, k)[0] for n in range(2) for k in range(2)]
    correlation = torch.corrcoef(torch.stack(draws).flatten(1)) - torch.eye(7)
    assert correlation.abs().max() < 0.05


def test_drawing_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    frame_noise(7, "frame", 2, SHAPE)
    assert torch.equal(torch.randn(3), expected)


def test_mix_is_the_formula():
    shared, residual = torch.ones(1, 1, 1, 1), torch.zeros(3, 1, 1, 1)
    assert mix(shared, residual, 2.0).flatten().tolist() == pytest.approx([2 / 5**0.5] * 3)


LATENTS = (4, 8, 8)


@pytest.mark.parametrize(
    ("noise", "recorded"),
    [
        (lambda: draw(7, "shared", LATENTS), [-1.0628, 1.07984, 0.13496, -1.16487]),
        (lambda: draw(7, "frame", LATENTS), [0.07273, 1.05258, -0.03477, 0.9213]),
        (lambda: draw(7, "frame", LATENTS, 3), [-0.70863, -1.89709, 0.38583, 0.39077]),
        (lambda: draw(2**31 - 1, "frame", LATENTS), [-1.14779, 0.9603, 0.1277, 0.82616]),
        (lambda: starting_noise(7, 1.5, 2, LATENTS)[1], [-0.19369, -0.01968, 0.19754, -0.98399]),
        (lambda: chain_noise(7, 2, LATENTS, "refine", 1)[1], [2.18571, -0.15729, 0.23941, -0.70116]),
        (lambda: chain_noise(7, 2, LATENTS, "refine", 1, 2)[0], [0.69577, 0.83903, 0.88898, 0.84442]),
    ],
    ids=["shared", "frame", "fourth frame", "largest seed", "start", "on the way", "on the way, at a step"],
)
def test_a_seed_draws_what_it_drew_in_every_release(noise, recorded):
    """These numbers change only on purpose: with them changes every clip that somebody wrote down the seed of."""
    drawn = noise().flatten()[[0, 1, 100, 255]]
    assert drawn.tolist() == pytest.approx(recorded, abs=2e-5)
