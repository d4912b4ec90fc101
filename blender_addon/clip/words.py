"""What a person reads while a clip is made. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Self

from shared_protocol.messages import Phase


class Phrase(str):
    """A text with what is filled in, so that whoever shows it can say it in another language.

    It is the English text; a value that is a phrase itself is said in the other language, too.
    """

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, **values: object) -> Self:
        """`template` as `str.format` takes it."""
        made = super().__new__(cls, template.format(**values))
        made.template, made.values = template, values
        return made

    def __str__(self) -> str:
        """Itself, so that an error's text is still a phrase."""
        return self


def phrase(text: str) -> Phrase:
    """A text as a phrase, so that it is looked up inside another one, too."""
    return text if isinstance(text, Phrase) else Phrase(text.replace("{", "{{").replace("}", "}}"))


def sentences(*texts: str) -> Phrase:
    """Texts one behind the other, each of which is looked up by itself. Empty ones are left out."""
    said = {f"text{number}": phrase(text) for number, text in enumerate(filter(None, texts))}
    return Phrase(" ".join("{" + name + "}" for name in said), **said)


PHASES: dict[Phase, str] = {
    "waiting": Phrase("Waiting for its turn"),
    "loading": Phrase("Loading the models"),
    "text": Phrase("Reading the prompt"),
    "encoding": Phrase("Reading the footage"),
    "painting": Phrase("Painting"),
    "refining": Phrase("Smoothing the motion"),
    "inverting": Phrase("Carrying the motion over"),
    "decoding": Phrase("Making the pictures"),
    "conforming": Phrase("Fitting the frame rate"),
    "writing": Phrase("Storing the clip"),
}

STAYS = Phrase("The clip stays in the backend's queue; the panel Finished Clips has it when it is made.")
"""What to say of a clip for which nobody waits any longer."""


def megabytes(done: int, total: int) -> str:
    """ "120 of 4265 MB", from bytes."""
    return Phrase("{done} of {total} MB", done=f"{min(done, total) / 1e6:.0f}", total=f"{total / 1e6:.0f}")


def frames(count: int) -> str:
    """ "1 frame", "16 frames"."""
    return Phrase("{count} frame", count=count) if count == 1 else Phrase("{count} frames", count=count)


def clips(count: int) -> str:
    """ "1 clip", "3 clips"."""
    return Phrase("{count} clip", count=count) if count == 1 else Phrase("{count} clips", count=count)


def seconds(length: float | Fraction) -> str:
    """ "2 s", "0.67 s"."""
    return f"{float(length):.2f}".rstrip("0").rstrip(".") + " s"


def rate(fps: float) -> str:
    """ "8", "23.98"."""
    return f"{fps:.2f}".rstrip("0").rstrip(".")
