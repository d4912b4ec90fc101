"""The add-on in Blender's language. Blender translates names and tooltips by itself; sentences are looked up here."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import bpy

from ..clip.job import Problem
from ..clip.words import Phrase
from .german import GERMAN

CATALOGUES = {"de_DE": GERMAN}
"""By Blender's name of a language: English texts and what they are in it."""
CONTEXTS = ("*", "Operator")
"""Where Blender looks: anywhere, and for the names of operators."""


def told(text: str) -> str:
    """A text in Blender's language, or as it is. Look up whole sentences, before they are wrapped."""
    if isinstance(text, Phrase):
        values = {name: told(each) if isinstance(each, Phrase) else each for name, each in text.values.items()}
        return _looked_up(text.template).format(**values)
    return _looked_up(text)


def told_problem(problem: Problem) -> str:
    """All that is said of a problem in Blender's language, on one line; the command stays as it is."""
    return " ".join(filter(None, (told(problem.sentence), told(problem.next_step), problem.command)))


def _looked_up(text: str) -> str:
    return bpy.app.translations.pgettext_iface(text) if text else ""


def register() -> None:
    bpy.app.translations.register(
        __package__,
        {
            language: {(context, english): words for context in CONTEXTS for english, words in catalogue.items()}
            for language, catalogue in CATALOGUES.items()
        },
    )


def unregister() -> None:
    bpy.app.translations.unregister(__package__)
