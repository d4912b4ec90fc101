"""Anchor attention against diffusers' own attention with the anchor's tokens passed in."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from elevator.cross_frame import AnchorAttention
from tests.elevator.golden import models


@pytest.fixture
def attn():
    torch.manual_seed(0)
    return Attention(query_dim=16, heads=2, dim_head=8, processor=AttnProcessor2_0()).eval().requires_grad_(False)


@pytest.mark.parametrize("clips", [1, 2])
@pytest.mark.parametrize("frames", [1, 3, 4])
def test_every_frame_reads_its_clips_frame_zero(attn, clips, frames):
    hidden = torch.randn(clips * frames, 5, 16)
    anchors = torch.cat([hidden[c * frames].expand(frames, -1, -1) for c in range(clips)])
    expected = AttnProcessor2_0()(attn, hidden, encoder_hidden_states=anchors)
    assert torch.allclose(AnchorAttention()(attn, hidden, clips=clips), expected, atol=1e-6)


def test_without_clips_and_with_text_it_is_plain_attention(attn):
    hidden, text = torch.randn(4, 5, 16), torch.randn(4, 7, 16)
    assert torch.allclose(AnchorAttention()(attn, hidden), AttnProcessor2_0()(attn, hidden), atol=1e-6)
    expected = AttnProcessor2_0()(attn, hidden, encoder_hidden_states=text)
    assert torch.allclose(AnchorAttention()(attn, hidden, text, clips=2), expected, atol=1e-6)


def test_a_mask_is_honoured(attn):
    hidden, mask = torch.randn(3, 5, 16), torch.zeros(3, 1, 5).masked_fill_(torch.rand(3, 1, 5) < 0.3, -1e4)
    expected = AttnProcessor2_0()(attn, hidden, attention_mask=mask.clone())
    assert torch.allclose(AnchorAttention()(attn, hidden, attention_mask=mask), expected, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_a_pair_of_clips_equals_two_clips_alone(frames):
    t2i = models("zeroscope").t2i
    z, text = torch.randn(2, frames, 4, 8, 8), torch.randn(2, 77, 32)
    with torch.inference_mode():
        pair = t2i(z, 500, text)
        alone = torch.cat([t2i(z[:1], 500, text[:1]), t2i(z[1:], 500, text[1:])])
    assert torch.allclose(pair, alone, atol=1e-5)


def test_changing_frame_zero_changes_all_and_another_only_itself():
    t2i = models("zeroscope").t2i
    z, text = torch.randn(1, 4, 4, 8, 8), torch.randn(1, 77, 32)

    def changed(frame):
        other = z.clone()
        other[0, frame] += 1
        with torch.inference_mode():
            difference = (t2i(z, 500, text) - t2i(other, 500, text))[0].abs().amax(dim=(1, 2, 3))
        return (difference > 1e-5).tolist()

    assert changed(0) == [True] * 4
    assert changed(2) == [False, False, True, False]
