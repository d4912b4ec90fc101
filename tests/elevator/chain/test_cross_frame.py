"""Anchor attention against diffusers' own attention with the anchor's tokens passed in."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from elevator.chain.cross_frame import Call, ClipAttention, Text
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
    call = Call.of(torch.zeros(clips, 1, 16))
    assert torch.allclose(ClipAttention()(attn, hidden, call=call), expected, atol=1e-6)


def test_without_a_call_it_is_plain_attention(attn):
    hidden, text = torch.randn(4, 5, 16), torch.randn(4, 7, 16)
    assert torch.allclose(ClipAttention()(attn, hidden), AttnProcessor2_0()(attn, hidden), atol=1e-6)
    expected = AttnProcessor2_0()(attn, hidden, encoder_hidden_states=text)
    assert torch.allclose(ClipAttention()(attn, hidden, text), expected, atol=1e-6)


def test_not_anchored_frames_read_themselves(attn):
    hidden = torch.randn(4, 5, 16)
    made = ClipAttention(anchored=False)(attn, hidden, call=Call.of(torch.zeros(2, 1, 16)))
    assert torch.allclose(made, AttnProcessor2_0()(attn, hidden), atol=1e-6)


def test_text_is_read_by_every_frame_and_made_into_keys_once(attn):
    hidden, text = torch.randn(6, 5, 16), torch.randn(2, 7, 16)
    expected = AttnProcessor2_0()(attn, hidden, encoder_hidden_states=text.repeat_interleave(3, dim=0))
    call = Call.of(text)
    for _ in range(2):
        assert torch.allclose(ClipAttention()(attn, hidden, torch.empty(0), call=call), expected, atol=1e-6)
    attn.to_k = attn.to_v = None  # they would be called now, if the keys and values had not been kept
    assert torch.allclose(ClipAttention()(attn, hidden, torch.empty(0), call=call), expected, atol=1e-6)


def test_frames_between_two_prompts_read_a_mixture(attn):
    hidden, texts = torch.randn(6, 5, 16), torch.randn(2, 2, 7, 16)
    mixing = torch.tensor([[1.0, 0], [0.25, 0.75], [0, 1]])
    per_frame = torch.einsum("fp,bpld->bfld", mixing, texts).flatten(0, 1)
    expected = AttnProcessor2_0()(attn, hidden, encoder_hidden_states=per_frame)
    call = Call(Text(texts, mixing), slice(0, 2), slice(0, 3))
    assert torch.allclose(ClipAttention()(attn, hidden, torch.empty(0), call=call), expected, atol=1e-6)
    last = Call(Text(texts, mixing), slice(1, 2), slice(1, 3))
    assert torch.allclose(ClipAttention()(attn, hidden[4:], torch.empty(0), call=last), expected[4:], atol=1e-6)


def test_a_mask_is_honoured(attn):
    hidden, mask = torch.randn(3, 5, 16), torch.zeros(3, 1, 5).masked_fill_(torch.rand(3, 1, 5) < 0.3, -1e4)
    expected = AttnProcessor2_0()(attn, hidden, attention_mask=mask.clone())
    assert torch.allclose(ClipAttention()(attn, hidden, attention_mask=mask), expected, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_a_pair_of_clips_equals_two_clips_alone(frames):
    t2i = models("zeroscope").t2i
    z, text = torch.randn(2, frames, 4, 8, 8), torch.randn(2, 77, 32)
    with torch.inference_mode():
        pair = t2i(z, 500, Call.of(text))
        alone = torch.cat([t2i(z[:1], 500, Call.of(text[:1])), t2i(z[1:], 500, Call.of(text[1:]))])
    assert torch.allclose(pair, alone, atol=1e-5)


def test_changing_frame_zero_changes_all_and_another_only_itself():
    t2i = models("zeroscope").t2i
    z, text = torch.randn(1, 4, 4, 8, 8), torch.randn(1, 77, 32)

    def changed(frame):
        other = z.clone()
        other[0, frame] += 1
        with torch.inference_mode():
            difference = (t2i(z, 500, Call.of(text)) - t2i(other, 500, Call.of(text)))[0].abs().amax(dim=(1, 2, 3))
        return (difference > 1e-5).tolist()

    assert changed(0) == [True] * 4
    assert changed(2) == [False, False, True, False]
