"""A CLIP tokenizer whose every world word is one token. Built once, then committed.

Merges are appended word by word, each word spelled with the merges that already exist.
A byte-pair tokenizer applies earlier merges first, so later words never change how
earlier words are read. Single bytes remain as a fallback: any text tokenises.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from ..small_world.captions import token_words

MAX_TOKENS = 24
_START, _END = "<|startoftext|>", "<|endoftext|>"
_SUFFIX = "</w>"


def _byte_letters() -> list[str]:
    """The printable letter that stands for each byte 0..255, as in GPT-2 and CLIP."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]


def _spell(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair encoding of one word with the given merge ranks."""
    symbols = [*word[:-1], word[-1] + _SUFFIX]
    while True:
        pairs = [pair for pair in pairwise(symbols) if pair in ranks]
        if not pairs:
            return symbols
        best = min(pairs, key=ranks.__getitem__)
        merged: list[str] = []
        for symbol in symbols:
            if merged and (merged[-1], symbol) == best:
                merged[-1] += symbol
            else:
                merged.append(symbol)
        symbols = merged


def merges_for(words: list[str]) -> list[tuple[str, str]]:
    """Merges, in order, that make one token of each word."""
    ranks: dict[tuple[str, str], int] = {}
    for word in words:
        symbols = _spell(word, ranks)
        while len(symbols) > 1:
            ranks[symbols[0], symbols[1]] = len(ranks)
            symbols = _spell(word, ranks)
    return list(ranks)


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write vocab.json, merges.txt and tokenizer_config.json into `folder`; load them back."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = merges_for(token_words())
    letters = _byte_letters()
    tokens = [_START, _END, *letters, *(letter + _SUFFIX for letter in letters)]
    tokens += ["".join(pair) for pair in merges]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": MAX_TOKENS,
        "bos_token": _START,
        "eos_token": _END,
        "unk_token": _END,
        "pad_token": _END,
        "do_lower_case": True,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), "utf-8")
    tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
    return tokenizer
