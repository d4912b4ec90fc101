"""Texts for people, in a terminal and in Blender alike, and texts that the protocol takes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .messages import MOST_NOTES, NAME_LENGTH, PATH_LENGTH, SENTENCE_LENGTH

_NO_UTF8 = re.compile(r"[\ud800-\udfff]")
"""What stands for such bytes in the name of a file."""
_BREAKS = re.compile(r"[\t\n\r]+")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, too."""


def duration(seconds: float) -> str:
    """ "9 s", "3 min", "2 h 5 min"; "1 s" is the shortest."""
    whole = max(1, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def cut(text: str, length: int) -> str:
    """The text, or so many characters of it, the last an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def sentence(text: str, length: int = SENTENCE_LENGTH) -> str:
    """The text as a message can carry it: in one line, of at most so many characters, and in UTF-8."""
    return cut(_UNSEEN.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub(" ", text)), length)


def sentences(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts as a message can carry them: of too many, the first, and how many more there are."""
    every = tuple(texts)
    if len(every) > MOST_NOTES:
        every = (*every[: MOST_NOTES - 1], f"There are {len(every) - MOST_NOTES + 1} more such notes.")
    return tuple(map(sentence, every))


def short_name(text: str) -> str:
    """The text as a message can carry a name; "?" for none."""
    return sentence(text, NAME_LENGTH) or "?"


def path_text(path: object) -> str:
    """A path, or nothing if a message cannot carry it: half a path is none."""
    text = str(path)
    return text if len(text) <= PATH_LENGTH and not _NO_UTF8.search(text) else ""


def listed(words: Iterable[str], most: int) -> str:
    """ "a, b, c"; of too many, the first, and how many more there are."""
    every = tuple(words)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
