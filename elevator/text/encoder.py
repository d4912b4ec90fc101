"""CLIP's text encoder over prompts of any length, with weights and learned words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from .chunks import TokenRun, cut, padded, weighted
from .embeddings import Embedding, extended
from .prompt import parse

KEPT = 16
"""How many prompts' embeddings are kept."""
_FAMILIES = {768: "SD 1.x", 1024: "SD 2.x", 1280: "SDXL"}
"""By width."""
# How embeddings are named by diffusers' tokens and by ComfyUI's prefix, whether or not they are loaded.
_NAMED = re.compile(r"<[^<>\s:]+>|\bembedding:[^\s,]+", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """CLIP's last hidden states, as the SD pipelines of diffusers take them, of prompts of any length.

    Prompts are in the syntax of `elevator.text.prompt`. Raises ModelError, at construction, if the encoder reads
    too few tokens or an embedding does not fit it.
    """

    tokenizer: Any
    """A CLIPTokenizer."""
    encoder: Any
    """A CLIPTextModel."""
    embeddings: tuple[Embedding, ...] = ()
    _encoded: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.length < 3:
            raise ModelError(
                f"The text encoder reads {self.length} tokens at once, and a start, a word and an end are 3; "
                "choose a model with another tokenizer or text encoder."
            )
        names = [embedding.token.casefold() for embedding in self.embeddings]
        for embedding in self.embeddings:
            if names.count(embedding.token.casefold()) > 1:
                raise ModelError(f"Two embeddings are called {embedding.token}; choose one of them.")
            self._check_fit(embedding)

    def _check_fit(self, embedding: Embedding) -> None:
        """Raise ModelError if an embedding has another width than the encoder, or too many vectors."""
        count, width = embedding.vectors.shape
        own: int = self.encoder.config.hidden_size
        if width != own:
            raise ModelError(
                f"The embedding {embedding.token} is for {_FAMILIES.get(width, 'another model')} ({width} wide) and "
                f"does not fit this text encoder ({own} wide); "
                f"choose one made for {_FAMILIES.get(own, 'this model')}."
            )
        if count > self.length - 2:
            raise ModelError(
                f"The embedding {embedding.token} has {count} vectors, but this text encoder reads "
                f"{self.length - 2} at once; choose one with fewer."
            )

    @cached_property
    def length(self) -> int:
        """L, the tokens of a chunk, start and end among them."""
        # A tokenizer that names no length reports a number beyond any memory.
        return int(min(self.tokenizer.model_max_length, self.encoder.config.max_position_embeddings))

    def with_embeddings(self, embeddings: Iterable[Embedding]) -> TextEncoder:
        """This encoder with exactly the given embeddings; () takes all away. Weights are shared.

        Raises ModelError if one has another width, more vectors than a chunk holds, or the name of another.
        """
        return replace(self, embeddings=tuple(embeddings))

    def __call__(self, prompt: str) -> Tensor:
        """(1, k·L, D): the k chunks that the prompt takes, each with its own start, end and padding.

        The last `KEPT` prompts are encoded once.
        """
        if prompt not in self._encoded:
            if len(self._encoded) == KEPT:
                self._encoded.pop(next(iter(self._encoded)))
            self._encoded[prompt] = self._encode(prompt)
        return self._encoded[prompt]

    @torch.inference_mode()
    def _encode(self, prompt: str) -> Tensor:
        chunks = cut(self._runs(prompt), self.length - 2, self._ids(","))
        start, end, pad = (getattr(self.tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad"))
        rows = [[start, *(token for run in chunk for token in run.ids), end] for chunk in chunks]
        weights = [[1.0, *(run.weight for run in chunk for _ in run.ids)] for chunk in chunks]
        device = self.encoder.device
        mask = None
        if getattr(self.encoder.config, "use_attention_mask", False):
            mask = padded([[1] * len(row) for row in rows], self.length, 0).to(device)
        hidden: Tensor = self._reader(padded(rows, self.length, pad).to(device), mask).last_hidden_state
        weight = padded(weights, self.length, 1).to(device)
        return weighted(hidden, weight).flatten(0, 1)[None]

    def together(self, prompts: Sequence[str]) -> Tensor:
        """Prompts as (P, k·L, D) of equal length: shorter ones go on with encoded empty chunks."""
        encoded = [self(prompt) for prompt in prompts]
        chunks = max(hidden.shape[1] for hidden in encoded) // self.length

        def filled(hidden: Tensor) -> Tensor:
            missing = chunks - hidden.shape[1] // self.length
            return torch.cat([hidden, self("").repeat(1, missing, 1)], dim=1) if missing else hidden

        return torch.cat([filled(hidden) for hidden in encoded])

    def notes(self, prompt: str) -> tuple[str, ...]:
        """One sentence for each thing in the prompt that is not read as it may have been meant."""
        parsed = parse(prompt)
        rest = " ".join(self._words.sub(" ", fragment.text) for fragment in parsed.fragments)
        return parsed.notes + tuple(
            f"No embedding {name} is loaded and it is read as plain words; add its file or leave it out."
            for name in dict.fromkeys(_NAMED.findall(rest))
        )

    def _runs(self, prompt: str) -> Iterator[TokenRun]:
        """The prompt's tokens, one in each run; the vectors of an embedding are one run."""
        for fragment in parse(prompt).fragments:
            end = 0
            for word in self._words.finditer(fragment.text):
                yield from (
                    TokenRun((token,), fragment.weight) for token in self._ids(fragment.text[end : word.start()])
                )
                yield TokenRun(self._learned[word.lastindex or 0], fragment.weight)
                end = word.end()
            yield from (TokenRun((token,), fragment.weight) for token in self._ids(fragment.text[end:]))

    def _ids(self, text: str) -> tuple[int, ...]:
        # verbose=False, because transformers would warn of texts that are longer than a chunk.
        return tuple(self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids)

    @cached_property
    def _ordered(self) -> list[Embedding]:
        """The embeddings with longer names first, so that they win over names that are parts of theirs."""
        return sorted(self.embeddings, key=lambda embedding: -len(embedding.token))

    @cached_property
    def _words(self) -> re.Pattern[str]:
        """The embeddings' names as whole words, each a group; without embeddings it never matches."""
        names = (r"\s+".join(map(re.escape, embedding.token.split())) for embedding in self._ordered)
        groups = "|".join(f"({name})" for name in names)
        return re.compile(rf"(?<!\w)(?:embedding:)?(?:{groups or '(?!)'})(?!\w)", re.IGNORECASE)

    @cached_property
    def _learned(self) -> dict[int, tuple[int, ...]]:
        """Number of a name's group in `_words` → the ids of its vectors."""
        first = self.encoder.get_input_embeddings().num_embeddings
        ends = accumulate((len(embedding.vectors) for embedding in self._ordered), initial=first)
        return {group: tuple(range(*span)) for group, span in enumerate(pairwise(ends), start=1)}

    @cached_property
    def _reader(self) -> Any:
        """The encoder, knowing the embeddings' vectors under the ids of `_learned`."""
        if not self.embeddings:
            return self.encoder
        return extended(self.encoder, torch.cat([embedding.vectors for embedding in self._ordered]))
