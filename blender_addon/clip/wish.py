"""What an artist asks for, and how it becomes a request. Pure: no bpy, no I/O.

A wish may leave things open ("the style's own size"); only the backend's list of styles settles them.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from shared_protocol.messages import Generate, Style

MAX_SEED = 2**31 - 1
MAX_PROMPT = 2000
MAX_FRAMES = 1024
MIN_SIZE, MAX_SIZE = 8, 8192


class WishError(Exception):
    """A wish cannot be granted. `sentence` says what is wrong, `next_step` what to do."""

    def __init__(self, sentence: str, next_step: str) -> None:
        super().__init__(f"{sentence} {next_step}")
        self.sentence = sentence
        self.next_step = next_step


@dataclass(frozen=True)
class Wish:
    """Everything the artist chose. Empty or 0 means "as the style does it"."""

    prompt: str
    negative_prompt: str = ""
    style: str = ""
    frames: int = 0
    width: int = 0
    """Pixels."""
    height: int = 0
    """Pixels."""
    seed: int = 0


def random_seed() -> int:
    """A fresh seed. Small, so that it can be read aloud and typed again."""
    return random.SystemRandom().randrange(1_000_000)


def check(wish: Wish) -> None:
    """Raise WishError if the wish is wrong whatever the styles are."""
    if not wish.prompt.strip():
        raise WishError("The prompt is empty.", "Write what the clip should show.")
    for name, text in (("prompt", wish.prompt), ("negative prompt", wish.negative_prompt)):
        if len(text) > MAX_PROMPT:
            raise WishError(f"The {name} has {len(text)} characters.", f"Shorten it to {MAX_PROMPT}.")
    if not 0 <= wish.frames <= MAX_FRAMES:
        raise WishError(f"{wish.frames} frames cannot be made.", f"Choose 1 to {MAX_FRAMES} frames.")
    for name, size in (("width", wish.width), ("height", wish.height)):
        if size != 0 and not MIN_SIZE <= size <= MAX_SIZE:
            raise WishError(f"A {name} of {size} pixels cannot be made.", f"Choose {MIN_SIZE} to {MAX_SIZE} pixels.")
    if not 0 <= wish.seed <= MAX_SEED:
        raise WishError(f"The seed {wish.seed} cannot be used.", f"Choose 0 to {MAX_SEED}.")


def find_style(name: str, styles: Sequence[Style]) -> Style:
    """The style of that name, or the first one if the name is empty. Raises WishError."""
    if not styles:
        raise WishError("The backend offers no style.", "Install the backend again.")
    if not name:
        return styles[0]
    for style in styles:
        if style.name == name:
            return style
    names = ", ".join(style.name for style in styles)
    raise WishError(f"The backend has no style “{name}”.", f"Choose one of: {names}.")


def settle(wish: Wish, job: str, styles: Sequence[Style]) -> Generate:
    """The request that grants the wish. Raises WishError if this style cannot."""
    check(wish)
    style = find_style(wish.style, styles)
    frames = wish.frames or style.frames
    width, height = wish.width or style.width, wish.height or style.height
    if frames > style.max_frames:
        raise WishError(
            f"The style “{style.name}” makes at most {style.max_frames} frames, not {frames}.",
            "Choose fewer frames.",
        )
    for name, size in (("width", width), ("height", height)):
        if not style.min_size <= size <= style.max_size or size % style.size_step:
            raise WishError(
                f"The style “{style.name}” cannot make a {name} of {size} pixels.",
                f"Choose a multiple of {style.size_step} from {style.min_size} to {style.max_size}.",
            )
    return Generate(
        job=job,
        prompt=wish.prompt.strip(),
        negative_prompt=wish.negative_prompt.strip(),
        style=style.name,
        frames=frames,
        width=width,
        height=height,
        seed=wish.seed,
    )


def slug(prompt: str, longest: int = 32) -> str:
    """A short folder name made from a prompt: letters and digits of any script, joined by dashes."""
    text = unicodedata.normalize("NFC", prompt).casefold()
    words = re.findall(r"\w+", text.replace("_", " "))
    name = ""
    for word in words:
        longer = f"{name}-{word}" if name else word
        if len(longer) > longest:
            break
        name = longer
    return name or "-".join(words)[:longest].strip("-") or "clip"


def folder_name(prompt: str, job: str) -> str:
    """The name of a job's folder; the job's id keeps two clips of one prompt apart."""
    return f"{slug(prompt)}-{job[:8]}"
