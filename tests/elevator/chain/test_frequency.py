"""Low-pass filters at any size."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elevator.chain.frequency import lowpass, mask
from elevator.plan import LOWPASS_METHODS, LowPass

SETTINGS = st.builds(
    LowPass,
    method=st.sampled_from(LOWPASS_METHODS),
    d_s=st.floats(0.05, 2),
    d_t=st.floats(0.05, 2),
    order=st.integers(1, 8),
)
SIZE = st.integers(1, 9)


def clip(frames, height, width):
    return torch.randn(frames, 2, height, width, generator=torch.Generator().manual_seed(0))


@given(SETTINGS, SIZE, SIZE, SIZE)
def test_the_mean_keeps_gain_one(settings_, frames, height, width):
    x = clip(frames, height, width) + 3
    filtered = lowpass(x, mask(settings_, frames, height, width))
    assert torch.allclose(filtered.mean(dim=(0, 2, 3)), x.mean(dim=(0, 2, 3)), atol=1e-4)


@pytest.mark.parametrize("method", LOWPASS_METHODS)
@pytest.mark.parametrize("cutoff", [0.05, 0.5, 2])
def test_the_mean_keeps_gain_one_at_the_edges_of_the_settings(method, cutoff):
    for size in (1, 2, 3, 7, 8):
        assert mask(LowPass(method, cutoff, cutoff), size, size, size)[0, 0, 0] == 1


@given(SETTINGS, SIZE, SIZE, SIZE)
def test_gains_lie_between_zero_and_one(settings_, frames, height, width):
    gain = mask(settings_, frames, height, width)
    assert gain.shape == (frames, height, width)
    assert gain.dtype == torch.float32
    assert gain.min() >= 0
    assert gain.max() <= 1


@given(SETTINGS.filter(lambda s: s.method != "box"), SIZE, SIZE, SIZE)
def test_masks_are_even_so_that_filtering_stays_real(settings_, frames, height, width):
    # The published box is not even: it holds −n but not +n.
    gain = mask(settings_, frames, height, width)
    mirrored = gain.flip(0, 1, 2).roll((1, 1, 1), (0, 1, 2))
    assert torch.allclose(gain, mirrored, atol=1e-6)


@given(SIZE, SIZE, SIZE)
def test_none_changes_nothing(frames, height, width):
    x = clip(frames, height, width)
    assert torch.allclose(lowpass(x, mask(LowPass("none"), frames, height, width)), x, atol=1e-5)


@pytest.mark.parametrize("frames", [7, 8])
def test_published_gaussian_damps_time_more_than_space(frames):
    gain = mask(LowPass("gaussian", 1.0, 0.4), frames, 8, 8)
    assert gain[0, 4, 0] == pytest.approx(0.607, abs=1e-3)  # spatial Nyquist
    assert gain[0, 4, 4] == pytest.approx(0.368, abs=1e-3)  # its corner
    fastest = 1 - 1 / frames if frames % 2 else 1
    assert gain[frames // 2, 0, 0] == pytest.approx(2.71828 ** -(fastest**2 / (2 * 0.4**2)), abs=1e-3)


@pytest.mark.parametrize("frames", [5, 6])
def test_temporal_leaves_each_frame_sharp(frames):
    still = clip(1, 8, 8).expand(frames, -1, -1, -1)
    assert torch.allclose(lowpass(still, mask(LowPass("temporal"), frames, 8, 8)), still, atol=1e-5)
    flicker = clip(frames, 8, 8)
    filtered = lowpass(flicker, mask(LowPass("temporal", d_t=0.2), frames, 8, 8))
    assert filtered.diff(dim=0).abs().mean() < 0.4 * flicker.diff(dim=0).abs().mean()


@pytest.mark.parametrize("d_t", [0.2, 0.4, 1.0])
def test_temporal_has_the_gaussians_gains_over_time_alone(d_t):
    gain = mask(LowPass("temporal", d_t=d_t), 8, 4, 4)
    frequencies = [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]  # of Nyquist, in FFT order
    assert gain[:, 0, 0].tolist() == pytest.approx([math.exp(-(f**2) / (2 * d_t**2)) for f in frequencies], abs=1e-6)
    assert torch.equal(gain, gain[:, :1, :1].expand_as(gain))


def test_half_precision_is_filtered_in_float32():
    x = clip(5, 8, 8)
    gain = mask(LowPass(), 5, 8, 8)
    filtered = lowpass(x.half(), gain)
    assert filtered.dtype == torch.float16
    assert torch.allclose(filtered.float(), lowpass(x, gain), atol=2e-3)
