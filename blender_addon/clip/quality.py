"""What each preset of a style is, in words of work and time. Pure."""

from __future__ import annotations

from shared_protocol.messages import Style
from shared_protocol.texts import duration

WORDS = {
    "published": ("Published", "As the paper has it"),
    "balanced": ("Balanced", "The steadiest"),
    "fast": ("Fast", "Nearly as steady"),
    "draft": ("Draft", "Sharp, and less steady: to try a prompt"),
}
"""Titles and words for the presets that come with the product."""
PARTS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth", 7: "a seventh", 8: "an eighth"}
PARTS |= {9: "a ninth", 10: "a tenth"}


def title(name: str) -> str:
    """A preset's name for people."""
    return WORDS[name][0] if name in WORDS else name.replace("_", " ").capitalize()


def description(name: str) -> str:
    """A sentence about a preset, where one is known."""
    return WORDS[name][1] if name in WORDS else ""


def label(style: Style, name: str, seconds_a_call: float | None = None) -> str:
    """ "Balanced: about 40 s"; "Balanced: half of the longest" where no time was measured; else the title alone.

    seconds_a_call: of the clip that is wished for.
    """
    calls = dict(zip(style.presets, style.calls, strict=False))
    if name not in calls:
        return title(name)
    if seconds_a_call is not None:
        return f"{title(name)}: about {duration(calls[name] * seconds_a_call)}"
    return f"{title(name)}: {_share(calls[name], max(calls.values()))}"


def _share(calls: int, most: int) -> str:
    """How long one takes, compared with the longest."""
    part = round(most / max(calls, 1))
    if calls == most:
        return "the longest"
    if part < 2:
        return f"{calls / most:.0%} of the longest"
    return f"{PARTS.get(part, f'1/{part}')} of the longest"
