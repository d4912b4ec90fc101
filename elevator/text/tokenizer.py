"""CLIP's tokenizer, made from the vocabulary that ships in `clip_bpe/`.

Source: OpenAI's CLIP (Radford et al., arXiv 2103.00020), whose vocabulary OpenCLIP shares. Ids in order: 256 bytes,
256 bytes that end a word, 48 894 merges, start, end.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Literal

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

LENGTH = 77
"""Tokens that CLIP reads at once, start and end among them."""
START, END = "<|startoftext|>", "<|endoftext|>"
_PADDING = {"end": END, "zero": "!"}
_MERGES = Path(__file__).parent / "clip_bpe" / "merges.txt.gz"


@cache
def tokenizer(padding: Literal["end", "zero"]) -> CLIPTokenizer:
    """The tokenizer of CLIP ViT-L in SD 1.x (padding `end`: id 49407) or OpenCLIP ViT-H in SD 2.x (`zero`: id 0).

    Both cut text alike: composed accents (NFC), lower case, runs of white space as one space.
    """
    lines = gzip.decompress(_MERGES.read_bytes()).decode("utf-8").splitlines()
    merges = [tuple(line.split()) for line in lines]
    letters = sorted(ByteLevel.alphabet())  # by code point they are in CLIP's order
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), START, END]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    made = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)
    # Given to the constructor, "!" would be special in prompts too and give 0 there, where OpenCLIP gives 256.
    made.pad_token = _PADDING[padding]
    return made
