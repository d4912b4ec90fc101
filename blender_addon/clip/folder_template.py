"""Where clips' folders go and how they are called, as the artist writes it: `//elevator/{prompt}-{job}`. Pure."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from shared_protocol.messages import Generate

from .wish import slug
from .words import Phrase

DEFAULT = "//elevator/{prompt}-{job}"
LONGEST = 64
"""Characters of a folder's name, as a ticket keeps it."""
LENGTHS = {"prompt": 32, "job": 8, "style": 16, "seed": 10}
"""The words that a name may hold, and how long they are at most."""


class TemplateError(Exception):
    """A template cannot be used. The text says what to change."""


@dataclass(frozen=True)
class FolderTemplate:
    """A template that can be used."""

    parent: str
    """The folder that holds all clips: from the .blend's folder if it begins with `//`."""
    name: str
    """Of a clip's folder in there, with words in braces."""

    def name_of(self, request: Generate) -> str:
        """The name of a clip's folder."""
        return self.name.format(
            prompt=slug(request.prompt, LENGTHS["prompt"]),
            job=request.job[: LENGTHS["job"]],
            style=slug(request.style, LENGTHS["style"]),
            seed=request.seed,
        )


def parse(text: str) -> FolderTemplate:
    """A template as it was typed. Raises TemplateError."""
    parent, slash, name = text.strip().replace("\\", "/").rpartition("/")
    if not slash or not parent.strip("/"):
        raise TemplateError(
            Phrase("Name a folder for all clips, and one for each in it, as in {example}.", example=DEFAULT)
        )
    if not parent.startswith("/") and not re.match(r"[A-Za-z]:", parent):
        raise TemplateError("Begin with // for the .blend's folder, or with / or a drive.")
    if set("{}") & set(parent):
        raise TemplateError("Words in braces can stand in the last part alone.")
    if ".." in parent.split("/"):
        raise TemplateError("Leave .. out.")
    try:
        parts = list(string.Formatter().parse(name))
    except ValueError:
        raise TemplateError("A brace is opened or closed alone.") from None
    words = [word for _, word, _, _ in parts if word is not None]
    if any(word not in LENGTHS or form or change for _, word, form, change in parts if word is not None):
        known = ", ".join("{" + word + "}" for word in LENGTHS)
        raise TemplateError(Phrase("Words in braces are {words}.", words=known))
    if "job" not in words:
        raise TemplateError(
            Phrase("The last part needs {word}, which keeps two clips of one prompt apart.", word="{job}")
        )
    plain = "".join(text for text, _, _, _ in parts)
    if not re.fullmatch(r"[\w-]*", plain) or name.startswith("-"):
        raise TemplateError('The last part can hold letters, digits, "_" and "-" besides words in braces.')
    if len(plain) + sum(LENGTHS[word] for word in words) > LONGEST:
        raise TemplateError(Phrase("The last part can become longer than {most} characters: shorten it.", most=LONGEST))
    return FolderTemplate(parent, name)
