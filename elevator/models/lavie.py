"""LaVie's UNet: Stable Diffusion's 2-D UNet with attention over time in each transformer block.

Source: Wang et al., LaVie (arXiv 2309.15103), section 3.2, and the key names of `lavie_base.pt`. Convolutions and
attention over space work on single frames. Two things see the whole clip: the residual blocks' normalisation, whose
statistics are taken over all frames, and `attn_temp`, in which each pixel's frames attend to each other.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.unets.unet_3d_condition import UNet3DConditionOutput
from torch import Tensor, nn
from torch.nn.functional import group_norm, scaled_dot_product_attention, silu

BUCKETS, MAX_DISTANCE = 32, 32
"""Of the relative position bias."""
ROTATED = 32
"""Dimensions of each head that the rotary embedding turns; all of them where a head has fewer."""


class TemporalAttention(nn.Module):
    """Attention over the F frames at each pixel, with rotary positions (arXiv 2104.09864) and T5's relative bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        rotated = min(ROTATED, width // heads)
        self.rotary_emb = nn.Module()
        # The file holds the frequencies as weights; in training they were one tensor that all blocks shared.
        self.rotary_emb.freqs = nn.Parameter(10000.0 ** -(torch.arange(0, rotated, 2) / rotated))
        self.time_rel_pos_bias = nn.Module()
        self.time_rel_pos_bias.relative_attention_bias = nn.Embedding(BUCKETS, heads)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B · pixels, F, width)."""
        q, k, v = (
            layer(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for layer in (self.to_q, self.to_k, self.to_v)
        )
        table: Any = self.time_rel_pos_bias.relative_attention_bias
        bias = table(_buckets(x.shape[1], x.device)).permute(2, 0, 1)
        freqs: Any = self.rotary_emb.freqs
        mixed = scaled_dot_product_attention(_rotated(q, freqs), _rotated(k, freqs), v, attn_mask=bias.to(q.dtype))
        out: Tensor = self.to_out[0](mixed.transpose(1, 2).flatten(2))
        return out


def _rotated(x: Tensor, freqs: Tensor) -> Tensor:
    """Turn the leading pairs of neighbouring dimensions of (…, F, D) by frame · frequency."""
    angles = torch.arange(x.shape[-2], device=x.device)[:, None] * freqs.float()
    cos, sin = angles.cos(), angles.sin()
    turned, rest = x[..., : 2 * len(freqs)].float(), x[..., 2 * len(freqs) :]
    even, odd = turned[..., ::2], turned[..., 1::2]
    turned = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)
    return torch.cat([turned.to(x.dtype), rest], dim=-1)


def _buckets(frames: int, device: torch.device) -> Tensor:
    """(F, F): the bucket of each key's distance to each query, as in T5 (arXiv 1910.10683), both directions.

    Half of the buckets are for keys that come later; of each half, half hold one distance each and the others
    grow in logarithmic steps up to `MAX_DISTANCE`.
    """
    positions = torch.arange(frames, device=device)
    distance = positions[None, :] - positions[:, None]
    half, exact = BUCKETS // 2, BUCKETS // 4
    near = distance.abs()
    growth = torch.log(near.clamp(min=1) / exact) / math.log(MAX_DISTANCE / exact) * (half - exact)
    far = (exact + growth.long()).clamp(max=half - 1)
    return (distance > 0) * half + torch.where(near < exact, near, far)


class LaVieUNet(UNet2DConditionModel):  # type: ignore[misc]  # diffusers' classes are untyped
    """Predicts the noise of clips; has the configuration of `UNet2DConditionModel` and lavie_base.pt's names."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        for block in self._transformer_blocks():
            width, heads = block.norm1.normalized_shape[0], block.attn1.heads
            block.norm_temp = nn.LayerNorm(width)
            block.attn_temp = TemporalAttention(width, heads)

    def _transformer_blocks(self) -> list[Any]:
        return [module for name, module in self.named_modules() if name.endswith("transformer_blocks.0")]

    def forward(
        self,
        sample: Tensor,
        timestep: int | Tensor,
        encoder_hidden_states: Tensor,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> UNet3DConditionOutput:
        """As `UNet3DConditionModel`'s: sample and output (B, C, F, h, w), encoder_hidden_states (B, L, D).

        cross_attention_kwargs: for the processors of text attention.
        """
        sample = sample.transpose(1, 2)
        clips, frames = sample.shape[:2]
        text = {
            "encoder_hidden_states": encoder_hidden_states.repeat_interleave(frames, dim=0),
            **(cross_attention_kwargs or {}),
        }
        time = self.time_proj(torch.as_tensor(timestep, device=sample.device).expand(clips * frames))
        emb = self.time_embedding(time.to(sample.dtype))

        x = self.conv_in(sample.flatten(0, 1))
        skips = [x]
        for block in self.down_blocks:
            for k, resnet in enumerate(block.resnets):
                x = _attend(block, k, _resnet(resnet, x, emb, clips), text, clips)
                skips.append(x)
            for layer in block.downsamplers or ():
                x = layer(x)
                skips.append(x)
        middle = self.mid_block
        x = _resnet(middle.resnets[0], x, emb, clips)
        x = _resnet(middle.resnets[1], _attend(middle, 0, x, text, clips), emb, clips)
        for block in self.up_blocks:
            for k, resnet in enumerate(block.resnets):
                x = _attend(block, k, _resnet(resnet, torch.cat([x, skips.pop()], dim=1), emb, clips), text, clips)
            for layer in block.upsamplers or ():
                # Sizes that are not a multiple of the UNet's factor were rounded up on the way down.
                x = layer(x, skips[-1].shape[-2:])
        x = self.conv_out(silu(_clip_norm(self.conv_norm_out, x, clips)))
        return UNet3DConditionOutput(x.unflatten(0, (clips, frames)).transpose(1, 2))


def _clip_norm(norm: nn.GroupNorm, x: Tensor, clips: int) -> Tensor:
    """Group normalisation of (B · F, C, h, w) with statistics over each clip."""
    whole = x.view(clips, -1, *x.shape[1:]).transpose(1, 2)
    normed = group_norm(whole, norm.num_groups, norm.weight, norm.bias, norm.eps)
    return normed.transpose(1, 2).flatten(0, 1)


def _resnet(block: Any, x: Tensor, emb: Tensor, clips: int) -> Tensor:
    """diffusers' `ResnetBlock2D` on (B · F, C, h, w), but for the normalisation."""
    h: Tensor = block.conv1(silu(_clip_norm(block.norm1, x, clips)))
    h = h + block.time_emb_proj(silu(emb))[:, :, None, None]
    h = block.conv2(silu(_clip_norm(block.norm2, h, clips)))
    shortcut: Tensor = x if block.conv_shortcut is None else block.conv_shortcut(x)
    return shortcut + h


def _attend(block: Any, k: int, x: Tensor, text: dict[str, Any], clips: int) -> Tensor:
    """The k-th `Transformer2DModel` of a block, with attention over time after that to the text."""
    if not hasattr(block, "attentions"):
        return x
    transformer = block.attentions[k]
    height, width = x.shape[-2:]
    h = transformer.proj_in(transformer.norm(x)).flatten(2).transpose(1, 2)
    layers = transformer.transformer_blocks[0]
    h = h + layers.attn1(layers.norm1(h))
    h = h + layers.attn2(layers.norm2(h), **text)
    over_time = h.unflatten(0, (clips, -1)).transpose(1, 2)  # (B, pixels, F, width)
    moved = layers.attn_temp(layers.norm_temp(over_time).flatten(0, 1))
    h = (over_time + moved.view_as(over_time)).transpose(1, 2).flatten(0, 1)
    h = h + layers.ff(layers.norm3(h))
    out: Tensor = transformer.proj_out(h.transpose(1, 2).unflatten(2, (height, width)))
    return out + x
