"""Options of both `python -m elevator` and `python -m backend generate`: one grammar, one wording.

docs/COMMANDS.md has a table of them.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from . import values

SHARED: dict[str, tuple[str, dict[str, Any]]] = {
    "prompt": ("what should be seen", {"nargs": "?", "type": values.text}),
    "--negative": ("what should not be seen", {"type": values.text, "metavar": "TEXT"}),
    "--preset": ("a named plan of sampling", {"metavar": "NAME"}),
    "--set": (
        "a setting of the sampler, such as guidance=9 or lowpass.method=none; may be repeated",
        {"type": values.setting, "action": "append", "metavar": "KEY=VALUE"},
    ),
    "--lora": ("at weight 1 if none is given; may be repeated", {"action": "append", "metavar": "LORA[:WEIGHT]"}),
    "--frames": ("length", {"type": values.whole, "metavar": "N"}),
    "--size": ("in pixels", {"type": values.size, "metavar": "WxH"}),
    "--seed": (
        "the same seed gives the same clip (default, or -1: a random one)",
        {"type": values.seed, "metavar": "N"},
    ),
    "--footage": (
        "what to start from: a folder of PNG files, in the order of their names, or one PNG file",
        {"type": values.path, "metavar": "PATH"},
    ),
    "--strength": (
        "how much of the footage is made anew, 0 to 1 (default: 0.8)",
        {"type": values.number, "metavar": "SHARE"},
    ),
    "--anchor": ("the picture that is frame 0", {"type": values.path, "metavar": "PNG"}),
    "--fps": ("frames a second", {"type": values.rate, "metavar": "N[/D]"}),
    "--device": ("where to sample: auto, cpu, cuda or cuda:1, xpu, mps", {"type": values.device, "metavar": "DEVICE"}),
    "--out": (
        "where the clip goes: a folder for its frames, or a film, NAME.mp4, .webm or .gif (default: out/PROMPT-SEED)",
        {"type": values.place, "metavar": "PLACE"},
    ),
    "--overwrite": ("replace a clip that is there", {"action": "store_true"}),
    "--quiet": ("show no progress", {"action": "store_true"}),
}
"""What each says, and how argparse reads it."""


def add(to: argparse._ActionsContainer, name: str, also: str = "", **own: Any) -> None:
    """Add one of them. `also`: what is true of this command alone, behind the shared words."""
    words, grammar = SHARED[name]
    to.add_argument(name, help=words + also, **{**grammar, **own})


def default_folder(text: str, seed: int | None = None) -> Path:
    """Where a clip goes if nobody says it: named after its prompt and seed."""
    name = re.sub(r"\W+", "-", text.lower())[:40].strip("-") or "clip"
    return Path("out") / (name if seed is None else f"{name}-{seed}")
