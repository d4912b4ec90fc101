"""What each preset of a style is, in words of work and time. Pure."""

from __future__ import annotations

from shared_protocol.messages import Style
from shared_protocol.texts import duration

from .words import Phrase

WORDS = {
    "published": (Phrase("Published"), Phrase("As the paper has it")),
    "balanced": (Phrase("Balanced"), Phrase("The steadiest")),
    "fast": (Phrase("Fast"), Phrase("Nearly as steady")),
    "draft": (Phrase("Draft"), Phrase("Sharp, and less steady: to try a prompt")),
    "turbo": (Phrase("Turbo"), Phrase("A few steps of an image model made for them")),
}
"""Titles and words for the presets that come with the product."""
PARTS = {
    2: Phrase("half"),
    3: Phrase("a third"),
    4: Phrase("a quarter"),
    5: Phrase("a fifth"),
    6: Phrase("a sixth"),
    7: Phrase("a seventh"),
    8: Phrase("an eighth"),
    9: Phrase("a ninth"),
    10: Phrase("a tenth"),
}


def title(name: str) -> str:
    """A preset's name for people."""
    return WORDS[name][0] if name in WORDS else name.replace("_", " ").capitalize()


def description(name: str) -> str:
    """A sentence about a preset, where one is known."""
    return WORDS[name][1] if name in WORDS else ""


def label(style: Style, name: str, seconds_a_call: float | None = None) -> str:
    """ "Balanced: about 40 s"; "Balanced: half of the longest" where no time was measured; else the title alone,
    as where there is no other.

    seconds_a_call: of the clip that is wished for.
    """
    calls = dict(zip(style.presets, style.calls, strict=False))
    if name not in calls:
        return title(name)
    if seconds_a_call is not None:
        time = duration(calls[name] * seconds_a_call)
        return Phrase("{preset}: about {time}", preset=title(name), time=time)
    if len(calls) == 1:
        return title(name)
    return Phrase("{preset}: {share}", preset=title(name), share=_share(calls[name], max(calls.values())))


def _share(calls: int, most: int) -> str:
    """How long one takes, compared with the longest."""
    part = round(most / max(calls, 1))
    if calls == most:
        return Phrase("the longest")
    share = f"{calls / most:.0%}" if part < 2 else PARTS.get(part, f"1/{part}")
    return Phrase("{share} of the longest", share=share)
