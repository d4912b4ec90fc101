"""From a prompt to what a network reads.

`elevator.text.prompt` reads weights and says what it does not understand; `elevator.text.embeddings` reads
textual inversion files; `elevator.text.chunks` cuts long prompts and applies weights;
`elevator.text.encoder` puts them together around a CLIP text encoder; `elevator.text.tokenizer` makes
CLIP's tokenizer where a model brings none, and alone imports transformers here. Names are imported on first use,
so that `parse` works in a process that must not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .embeddings import Embedding, read_embedding
    from .encoder import TextEncoder
    from .prompt import Fragment, ParsedPrompt, parse

__all__ = ["Embedding", "Fragment", "ParsedPrompt", "TextEncoder", "parse", "read_embedding"]

_HOMES = {
    "embeddings": ("Embedding", "read_embedding"),
    "encoder": ("TextEncoder",),
    "prompt": ("Fragment", "ParsedPrompt", "parse"),
}


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first asked for (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
