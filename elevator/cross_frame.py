"""Anchor attention: in the inflated T2I every frame's self-attention reads keys and values of frame 0.

Source: VideoElevator, section 3.3 (spatial quality elevating). The published processor expects a batch of 2F
and so anchors on frame F/2 while it inverts with F frames; here the number of clips comes with each call.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


class AnchorAttention:
    """Attention processor for the transformer blocks of a diffusers ``UNet2DConditionModel``.

    With ``cross_attention_kwargs={"clips": B}`` the batch holds B clips of equal length and self-attention is
    anchored; without it, and in text attention, this is plain attention. It keeps no state.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        clips: int | None = None,
    ) -> Tensor:
        """hidden_states: (B·F, tokens, width); encoder_hidden_states: (B·F, L, D) in text attention."""
        if encoder_hidden_states is not None:
            key, value = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        elif clips is None:
            key, value = attn.to_k(hidden_states), attn.to_v(hidden_states)
        else:
            frames = hidden_states.shape[0] // clips
            anchor = hidden_states[::frames]  # frame 0 of each clip
            key = attn.to_k(anchor).repeat_interleave(frames, dim=0)
            value = attn.to_v(anchor).repeat_interleave(frames, dim=0)
        if attention_mask is not None:
            per_head = attn.prepare_attention_mask(attention_mask, key.shape[1], key.shape[0])
            attention_mask = per_head.reshape(key.shape[0], attn.heads, -1, key.shape[1])
        mixed = scaled_dot_product_attention(
            _heads(attn, attn.to_q(hidden_states)), _heads(attn, key), _heads(attn, value), attn_mask=attention_mask
        )
        out: Tensor = attn.to_out[0](mixed.transpose(1, 2).flatten(2))
        return out


def _heads(attn: Any, x: Tensor) -> Tensor:
    """(B, tokens, width) to (B, heads, tokens, width / heads)."""
    return x.reshape(*x.shape[:2], attn.heads, -1).transpose(1, 2)
