"""A text encoder small enough for tests, with CLIP's own tokenizer."""

from __future__ import annotations

from functools import cache

import torch
from transformers import CLIPTextConfig, CLIPTextModel

from elevator.text import TextEncoder
from elevator.text.tokenizer import tokenizer

WIDTH = 16


@cache
def network(width=WIDTH, length=77, masked=False):
    """Random weights; the last layer's bias gives the hidden states a mean, as CLIP's have one."""
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=length,
        bos_token_id=49406,
        eos_token_id=49407,
    )
    config.use_attention_mask = masked
    model = CLIPTextModel(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.normal_(std=0.3)
    model.final_layer_norm.weight += 1
    model.final_layer_norm.bias += 0.5
    return model


def text_encoder(padding="end", **settings):
    return TextEncoder(tokenizer(padding), network(**settings))


@torch.inference_mode()
def states(encoder, prompt, length=77):
    """(1, L, D) as transformers give them for a padded prompt."""
    tokens = encoder.tokenizer(
        prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt", verbose=False
    )
    masked = encoder.encoder.config.use_attention_mask
    return encoder.encoder(tokens.input_ids, tokens.attention_mask if masked else None).last_hidden_state
