"""Texts of options and of cells to values, for all command lines. Each raises argparse's ArgumentTypeError, whose text
says what is wrong."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

MAX_SEED = 2**63 - 1
RANDOM_SEED = -1
"""What other tools call a random seed."""


def text(text: str) -> str:
    """A text that can be written down."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not written in UTF-8") from error
    return text


def path(name: str) -> str:
    """Where a file or folder lies, absolute, as it is written down."""
    return str(place(text(name)).absolute())


def place(name: str) -> Path:
    """A path as it was given. An empty one would be the folder that the terminal is in."""
    if not name.strip():
        raise argparse.ArgumentTypeError(f'"{name}" is no path: write where it lies, or . for this folder')
    return Path(name)


def whole(text: str) -> int:
    """ "3" → 3."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{_short(text)}" is no whole number: write it like 16') from None


def count(text: str) -> int:
    """A whole number of 1 or more."""
    found = whole(text)
    if found < 1:
        raise argparse.ArgumentTypeError(f"{found} is too few: give 1 or more")
    return found


def prompts(text: str) -> tuple[int | None, Path | None]:
    """ "12" → (12, None): the first so many; "mine.txt" → (None, path)."""
    return (count(text), None) if text.isdecimal() else (None, Path(text))


def number(text: str) -> float:
    """ "0.5" → 0.5."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        other = text.replace(",", ".")
        like = other if re.fullmatch(r"[+-]?\d+\.\d+", other) else "0.8"
        raise argparse.ArgumentTypeError(f'"{_short(text)}" is no number: write it like {like}')
    return found


def _short(text: str) -> str:
    """As much of it as a sentence needs."""
    return text if len(text) <= 40 else f"{text[:39]}…"


def seed(text: str) -> int:
    """ "3" → 3; RANDOM_SEED stands for a random one."""
    found = whole(text)
    if found != RANDOM_SEED and not 0 <= found <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"{found} is not between 0 and {MAX_SEED}, nor -1 for a random one")
    return found


def device(text: str) -> str:
    """One device, as torch calls it, or auto."""
    if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d{1,2})?", text):
        raise argparse.ArgumentTypeError(f'"{text}" is no device: write auto, cpu, cuda, cuda:1, xpu or mps')
    return text


def size(text: str) -> tuple[int, int]:
    """ "64x48" → (64, 48)."""
    match = re.fullmatch(r"(\d{1,5})\s*[xX×*]\s*(\d{1,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f'"{text}" is no size: write it like 64x64')
    return int(match[1]), int(match[2])


def setting(text: str) -> tuple[str, Any]:
    """ "guidance=7.5" → ("guidance", 7.5)."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f'"{text}" has no =: write it like steps=20')
    return key, plain(value)


def plain(text: str) -> Any:
    """A JSON value; what is none is a text, also a number that is not finite, which JSON has not (RFC 8259)."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(found, float) and not math.isfinite(found) else found


def nested(settings: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """[("lowpass.method", "box")] → {"lowpass": {"method": "box"}}."""
    table: dict[str, Any] = {}
    for key, value in settings:
        *outer, last = key.split(".")
        inner = table
        for part in outer:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise argparse.ArgumentTypeError(f'"{key}" and "{part}" contradict each other')
        inner[last] = value
    return table


def weighted(text: str) -> tuple[str, float]:
    """ "ink.safetensors:0.8" → its parts; weight 1 without one.

    Names may hold colons themselves, as C:\\ink.safetensors does: only a number behind the last one is a weight.
    """
    name, _, weight = text.rpartition(":")
    try:
        return (name, float(weight)) if name else (text, 1.0)
    except ValueError:
        return text, 1.0


def rate(text: str) -> Fraction:
    """ "24", "23.976", "30000/1001": frames a second."""
    found = Fraction(text) if re.fullmatch(r"\d{1,7}(\.\d{1,6}|/0*[1-9]\d{0,6})?", text, re.ASCII) else Fraction(0)
    if not found:
        raise argparse.ArgumentTypeError(f'"{text}" is no frame rate: write it like 24 or 30000/1001')
    return found
