"""Which words of a prompt a model was never trained on. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

FILE_NAME = "known_words.txt"
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def known_words(folder: Path) -> frozenset[str] | None:
    """The words of `known_words.txt` in a model's folder, one a line; None if it has no such file.

    None means that the model knows words in general, as models trained on the web do.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return frozenset(line.strip().lower() for line in lines if line.strip())


def unknown_words(prompt: str, words: Collection[str] | None) -> tuple[str, ...]:
    """The prompt's words that are not among `words`, lower case, in order, each once.

    A hyphenated word is known if it, or each of its parts, is. With `words` None nothing is unknown.
    """
    if words is None:
        return ()
    found = (word.lower() for word in _WORD.findall(prompt))
    unknown = [word for word in found if word not in words and not all(p in words for p in word.split("-"))]
    return tuple(dict.fromkeys(unknown))
