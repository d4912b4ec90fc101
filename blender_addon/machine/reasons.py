"""What an operating system's error means, as a part of a sentence that may be said in another language. No bpy."""

from __future__ import annotations

from ..clip.words import Phrase, phrase
from .copying import why


def reason(error: OSError) -> Phrase:
    """A short clause for an error, as a phrase. `copying` itself runs alone as well, and knows no phrases."""
    return phrase(why(error))
