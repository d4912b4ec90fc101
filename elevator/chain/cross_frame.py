"""What the frames of a clip share in attention: the text's keys and values, and in the T2I those of frame 0.

Source: VideoElevator, section 3.3 (spatial quality elevating): in the inflated T2I every frame's self-attention reads
keys and values of frame 0. The published processor expects a batch of 2F and so anchors on frame F/2 while it inverts
with F frames; here the number of clips comes with each call. What is shared is computed once: a text's keys and values
once for a clip's whole chain, frame 0's once in a call, even if that sees the clip chunk by chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

KeysValues: TypeAlias = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Text:
    """Embeddings of B prompts for one clip, and the keys and values that attention layers have made of them.

    A prompt that changes over the clip has P embeddings, which each frame mixes. Layers without a bias, as CLIP-guided
    UNets have them, make keys and values of a mixture that are the mixture of keys and values, so P times are enough.
    """

    hidden: Tensor
    """(B, P, L, D)."""
    mixing: Tensor | None = None
    """(F, P), rows that sum to 1; None: P is 1 and all frames read the same."""
    kept: dict[nn.Module, KeysValues] = field(default_factory=dict, repr=False)

    def keys_values(self, attn: Any, prompts: slice, frames: slice) -> KeysValues:
        """Of some prompts for some frames: (b, L, width) if all frames read the same, else (b · f, L, width)."""
        if attn not in self.kept:
            self.kept[attn] = attn.to_k(self.hidden), attn.to_v(self.hidden)
        key, value = (each[prompts] for each in self.kept[attn])
        if self.mixing is None:
            return key[:, 0], value[:, 0]
        mixing = self.mixing[frames].to(key)
        key, value = (torch.einsum("fp,bplw->bflw", mixing, each).flatten(0, 1) for each in (key, value))
        return key, value


@dataclass(eq=False)
class DeepFeatures:
    """What the T2I's layers but the outermost gave, to be used again in its next calls (arXiv 2312.00858)."""

    kept: dict[int, Tensor] = field(default_factory=dict)
    """By the first frame of the chunk."""
    whole: bool = True
    """Whether the next call is to run all layers and keep their features anew."""


@dataclass(frozen=True, eq=False)
class Call:
    """What a network is told beside the latents and the timestep."""

    text: Text
    prompts: slice
    """Those of the text that the batch's clips are read with, one a clip."""
    frames: slice
    """Those of the clip that the batch holds."""
    anchors: dict[nn.Module, KeysValues] | None = None
    """Frame 0's, kept for the next chunks; None: there are none."""
    features: DeepFeatures | None = None

    @classmethod
    def of(cls, text: Tensor) -> Call:
        """A call that sees whole clips; text: (B, L, D)."""
        return cls(Text(text[:, None]), slice(None), slice(None))

    @property
    def hidden(self) -> Tensor:
        """(B, L, D), for networks that ask for embeddings though their attention layers do not read them here."""
        return self.text.hidden[self.prompts, 0]

    def anchor(self, attn: Any, hidden: Tensor) -> KeysValues:
        """Keys and values of frame 0 of each clip, (B, tokens, width), from (B · F, tokens, width)."""
        if self.anchors is not None and attn in self.anchors:
            return self.anchors[attn]
        frames = len(hidden) // len(self.hidden)
        first = hidden[::frames]
        made = attn.to_k(first), attn.to_v(first)
        if self.anchors is not None:
            self.anchors[attn] = made
        return made


@dataclass(frozen=True)
class ClipAttention:
    """Attention processor for transformer blocks of diffusers' UNets.

    With `cross_attention_kwargs={"call": Call}` the batch holds B clips of equal length: text attention reads the
    call's keys and values whatever embeddings come along, and self-attention those of frame 0 if it is `anchored`.
    Without a call this is plain attention. It keeps no state.
    """

    anchored: bool = True

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        call: Call | None = None,
    ) -> Tensor:
        """hidden_states: (B·F, tokens, width); encoder_hidden_states: in text attention only."""
        if call is not None and encoder_hidden_states is not None:
            key, value = call.text.keys_values(attn, call.prompts, call.frames)
        elif call is not None and self.anchored:
            key, value = call.anchor(attn, hidden_states)
        else:
            source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
            key, value = attn.to_k(source), attn.to_v(source)
        if attention_mask is not None:
            per_head = attn.prepare_attention_mask(attention_mask, key.shape[1], key.shape[0])
            attention_mask = per_head.reshape(key.shape[0], attn.heads, -1, key.shape[1])
        # Frames that read the same keys become one long row of queries, so that no key is repeated.
        query = attn.to_q(hidden_states).reshape(len(key), -1, key.shape[2])
        mixed = scaled_dot_product_attention(
            _heads(attn, query), _heads(attn, key), _heads(attn, value), attn_mask=attention_mask
        )
        out: Tensor = attn.to_out[0](mixed.transpose(1, 2).reshape(*hidden_states.shape[:2], -1))
        return out


def _heads(attn: Any, x: Tensor) -> Tensor:
    """(B, tokens, width) to (B, heads, tokens, width / heads)."""
    return x.reshape(*x.shape[:2], attn.heads, -1).transpose(1, 2)
