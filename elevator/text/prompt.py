"""Weights in a prompt: `(words:1.2)`, `(words)` for 1.1, `[words]` for 1/1.1, nested; `\\(` is a plain bracket.

Source of the syntax: AUTOMATIC1111's web UI ("Attention/emphasis"). What else of its syntax is met gets a note. Read
as plain words: a bracket without a partner, prompt editing `[a:b:0.5]` and `[a|b]`, AND, and a weight that is no
number. Left out: BREAK, and tags such as `<lora:name:0.8>`. Weights are held between 0 and 3. Of other tools' syntax,
`OTHERS` has what is known: it is read as plain words, and a note says so.

This module imports no torch, so that any process can show the notes.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

STRONGER = 1.1
"""Weight of (words); [words] has its reciprocal."""
MAX_WEIGHT = 3.0

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_MARK = re.compile(
    r"""(?P<tag> <(?i:lora|lyco|hypernet):[^<>]*> )
      | \\(?P<escaped> [()\[\]] )
      | (?P<open> [(\[] )
      | (?: (?<!\bembedding) : \s*+ (?P<weight> [^\s:()\[\]\\]*+ ) \s*+ )? (?P<close> [)\]] )
      | \b(?P<word> BREAK|AND )\b
    """,
    re.VERBOSE,
)

OTHERS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Dynamic Prompts and ComfyUI.
    (re.compile(r"\{[^{}]*\|[^{}]*\}"), "nothing is chosen at random here, so write one of its parts"),
    (re.compile(r"(?<!\w)__[~@!&*]?\w[\w./*-]*?__(?!\w)"), "no lists of words are read here, so write a word"),
    # Braces for weight, as NovelAI has them.
    (re.compile(r"\{[^{}|]*\}"), "write (words:1.1) for more weight"),
    # SwarmUI's and other tags than those of LoRAs.
    (
        re.compile(r"<(?!lora:|lyco:|hypernet:)[a-z_]+(?:\[[^\]<>]*\])?:[^<>]+>", re.IGNORECASE),
        "write the words that you mean",
    ),
    # InvokeAI's and Compel's weights.
    (re.compile(r"\)(?:\++|-+|\d+\.?\d*)(?![\w.])"), "write (words:1.2) for another weight"),
    (re.compile(r"(?<=\w\w)\+{2,}(?!\w)"), "write (words:1.2) for more weight"),
    (re.compile(r"\)\.(?:and|blend|swap)\(", re.IGNORECASE), "describe all in one prompt"),
    # Midjourney's parameters and weights.
    (
        re.compile(r"(?<!\S)--[a-z]\w*(?:\s+[\d:.]+(?!\S))?", re.IGNORECASE),
        "settings of a clip stand outside of the prompt",
    ),
    (re.compile(r"(?<=\w)::(?:-?\d+\.?\d*)?(?!\w)"), "write (words:1.2) for another weight"),
    # Regions of a picture, as extensions of the web UI have them.
    (re.compile(r"\b(?:ADDCOL|ADDROW|ADDCOMM|ADDBASE)\b"), "a prompt holds for the whole picture"),
    # Brackets of Chinese and Japanese keyboards.
    (re.compile(r"（[^（）]*[:：][^（）]*）"), "write (words:1.2) with plain brackets"),
)
"""Syntax that other tools have, and what to write instead."""
_PROMPT_EDITING = re.compile(r"(?<!\w)\[[^\[\]]*\]|\\.")
"""Has its notes already; and signs that shall be plain."""


@dataclass(frozen=True)
class Fragment:
    """Words of one weight, as they stand in the prompt."""

    text: str
    weight: float
    """0 to 3."""


@dataclass(frozen=True)
class ParsedPrompt:
    """A prompt as it is read."""

    fragments: tuple[Fragment, ...]
    """In order; none is empty, neighbours differ in weight."""
    notes: tuple[str, ...]
    """One sentence for each thing that is left out or read as plain words."""


@dataclass(frozen=True)
class _Effect:
    """What a mark of the syntax does."""

    text: str = ""
    """What of it stays in the prompt."""
    factor: float | None = None
    """The words after it weigh so much more, until another closes."""
    closes: bool = False
    note: str | None = None


def parse(prompt: str) -> ParsedPrompt:
    """Read the weights of a prompt. Never raises; what is not understood gets a note."""
    marks = list(_MARK.finditer(prompt))
    partners = _partners(marks)
    pieces: list[Fragment] = []
    notes: list[str] = []
    weights = [1.0]
    end = 0
    for number, mark in enumerate(marks):
        pieces.append(Fragment(prompt[end : mark.start()], weights[-1]))
        end = mark.end()
        effect = _effect(prompt, mark, marks[partners[number]] if number in partners else None)
        pieces.append(Fragment(effect.text, weights[-1]))
        if effect.note:
            notes.append(effect.note)
        if effect.factor is not None:
            weight = weights[-1] * effect.factor
            weights.append(min(MAX_WEIGHT, max(0.0, weight)))
            if weights[-1] != weight:
                notes.append(f"The weight {weight:g} is outside 0 to {MAX_WEIGHT:g} and is read as {weights[-1]:g}.")
        if effect.closes:
            weights.pop()
    pieces.append(Fragment(prompt[end:], weights[-1]))
    runs = groupby((piece for piece in pieces if piece.text), key=lambda piece: piece.weight)
    fragments = (Fragment("".join(piece.text for piece in run), weight) for weight, run in runs)
    return ParsedPrompt(tuple(fragments), tuple(dict.fromkeys((*notes, *_notes_of_others(prompt)))))


def _notes_of_others(prompt: str) -> Iterator[str]:
    """A note for each thing that other tools would understand."""
    rest = _PROMPT_EDITING.sub(" ", prompt)
    for pattern, instead in OTHERS:
        for found in pattern.finditer(rest):
            yield f"“{_short(found[0])}” is read as plain words; {instead}."


def _effect(prompt: str, mark: re.Match[str], partner: re.Match[str] | None) -> _Effect:
    """What one mark does; `partner` is the other bracket of a pair."""
    if mark["tag"]:
        return _Effect(note=f"{_short(mark[0])} is left out; choose the LoRA in the style instead.")
    if mark["escaped"]:
        return _Effect(mark["escaped"])
    if mark["word"] == "BREAK":
        return _Effect(note="BREAK is left out; a long prompt is divided at its commas.")
    if mark["word"] == "AND":
        return _Effect("AND", note="AND is read as a plain word; describe all in one prompt.")
    if partner is None:
        bracket = mark["open"] or mark["close"]
        note = f"A {bracket} has no partner and is read as it stands; add one, or write \\{bracket}."
        return _Effect(mark[0], note=note)
    opening, closing = (mark, partner) if mark["open"] else (partner, mark)
    number = closing["weight"] if _NUMBER.fullmatch(closing["weight"] or "") else None
    inside = prompt[opening.end() : closing.start()]
    if opening[0] == "[" and (number or "|" in inside):
        pair = _short(prompt[opening.start() : closing.end()])
        note = f"{pair} is read as it stands; a prompt cannot change during sampling, so write one of its parts."
        return _Effect(mark[0], note=note)
    if mark is opening:
        default = STRONGER if opening[0] == "(" else 1 / STRONGER
        return _Effect(factor=float(number) if number else default)
    if number or closing["weight"] is None:
        return _Effect(closes=True)
    unread = prompt[closing.start() : closing.start("close")]
    note = f"“{_short(unread)}” is no weight and is read as plain words; write a number, as in (words:1.2)."
    return _Effect(unread, closes=True, note=note)


def _partners(marks: Sequence[re.Match[str]]) -> Mapping[int, int]:
    """Number of each mark that is one bracket of a pair → number of the other; brackets that cross are no pairs."""
    partners: dict[int, int] = {}
    opened: dict[str, list[int]] = {")": [], "]": []}
    for number, mark in enumerate(marks):
        if mark["open"]:
            opened[")" if mark["open"] == "(" else "]"].append(number)
        elif mark["close"] and opened[mark["close"]]:
            start = opened[mark["close"]].pop()
            partners |= {start: number, number: start}
            for unclosed in opened.values():
                while unclosed and unclosed[-1] > start:
                    unclosed.pop()
    return partners


def _short(text: str) -> str:
    return textwrap.shorten(text, 40, placeholder="…")
