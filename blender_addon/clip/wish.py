"""What an artist asks for, and how it becomes a request. Pure: no bpy, no I/O.

A wish may leave things open ("the style's own size"); the backend's list of styles settles them.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import msgspec

from shared_protocol import mistakes
from shared_protocol.messages import Generate, JobView, LoraChoice, Setting, Style

from . import limits, sizes
from .timing import flow_rate
from .words import Phrase

EXAMPLE = "a pumpkin moving right, blue background"


class WishError(Exception):
    """A wish cannot be granted. `sentence` says what is wrong, `next_step` what to do; `code`: the protocol's word."""

    def __init__(self, sentence: str, next_step: str, code: str = "bad_request") -> None:
        super().__init__(f"{sentence} {next_step}".strip())
        self.sentence = sentence
        self.next_step = next_step
        self.code = code


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
    preset: str = ""
    loras: tuple[LoraChoice, ...] = ()
    """On top of the style's own."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """Of the sampler's plan, that differ from the preset's."""
    strength: float = 1.0
    """Of the noise on the pictures that it starts from, 0 … 1; 1 where it starts from none."""
    flow_fps: Fraction | None = None
    """Frames a second of the result, with new pictures between the clip's own; None: the style's, and none."""


def random_seed() -> int:
    """A fresh seed. Small, so that it can be read aloud and typed again."""
    return random.SystemRandom().randrange(1_000_000)


def next_seed(seed: int) -> int:
    """The seed of a further take."""
    return seed + 1 if seed < limits.SEED.most else limits.SEED.least


def check(wish: Wish) -> None:
    """Raise WishError if no request can carry the wish. What a style allows, the backend says."""
    if not wish.prompt.strip():
        example = Phrase('Say what should be seen, such as "{example}".', example=EXAMPLE)
        raise WishError("The prompt is empty.", example, "empty_prompt")
    _check_length(wish.prompt, Phrase("The prompt has {count} characters.", count=len(wish.prompt)))
    negative = wish.negative_prompt
    _check_length(negative, Phrase("The negative prompt has {count} characters.", count=len(negative)))
    if wish.frames:
        sentence = Phrase("A clip of {count} frames is not possible.", count=wish.frames)
        _check_number(wish.frames, limits.FRAMES, sentence, "frames_out_of_range")
    if wish.width:
        sentence = Phrase("A width of {pixels} pixels is not possible.", pixels=wish.width)
        _check_number(wish.width, limits.PIXELS, sentence, "size_out_of_range")
    if wish.height:
        sentence = Phrase("A height of {pixels} pixels is not possible.", pixels=wish.height)
        _check_number(wish.height, limits.PIXELS, sentence, "size_out_of_range")
    if len(wish.loras) > limits.LORAS:
        raise WishError(
            Phrase("A clip cannot have {count} LoRAs.", count=len(wish.loras)),
            Phrase("Choose {most} at most.", most=limits.LORAS),
        )
    _check_number(wish.seed, limits.SEED, Phrase("A seed of {seed} is not possible.", seed=wish.seed))


def _check_length(text: str, sentence: str) -> None:
    if len(text) > limits.PROMPT.most:
        raise WishError(sentence, Phrase("Shorten it to {most}.", most=limits.PROMPT.most))


def _check_number(number: int, allowed: limits.Limits, sentence: str, code: str = "bad_request") -> None:
    if not allowed.least <= number <= allowed.most:
        between = Phrase("Choose between {least} and {most}.", least=allowed.least, most=allowed.most)
        raise WishError(sentence, between, code)


def find_style(name: str, styles: Sequence[Style]) -> Style:
    """The style of that name, or the first one if the name is empty. Raises WishError."""
    if not styles:
        raise WishError("The backend's styles are not known yet.", "Start the backend, which tells them.")
    if not name:
        return styles[0]
    for style in styles:
        if style.name == name:
            return style
    names = ", ".join(each.name for each in styles)
    raise WishError(
        Phrase('There is no style "{name}".', name=name),
        Phrase("Choose one of these: {names}.", names=names),
        "unknown_style",
    )


def settle(wish: Wish, job: str, styles: Sequence[Style]) -> Generate:
    """The request for a wish. Raises WishError if the style cannot make it, or if there is no such style."""
    check(wish)
    style = find_style(wish.style, styles)
    flow = Fraction(0) if wish.flow_fps is None else flow_rate(wish.flow_fps)
    request = Generate(
        job=job,
        prompt=wish.prompt.strip(),
        negative_prompt=wish.negative_prompt.strip(),
        style=style.name,
        frames=wish.frames or style.frames,
        width=wish.width or style.width,
        height=wish.height or style.height,
        seed=wish.seed,
        preset=wish.preset,
        loras=wish.loras,
        settings=dict(wish.settings),
        strength=min(max(wish.strength, 0.0), 1.0),
        flow_fps_numerator=flow.numerator,
        flow_fps_denominator=flow.denominator,
    )
    _check_style(request, style)
    _check_types(request)
    return request


def request_of(view: JobView) -> Generate:
    """The request for a clip that the backend has, as far as it tells."""
    return Generate(
        job=view.job,
        prompt=view.prompt,
        style=view.style or "plain",
        frames=view.frames,
        width=view.width,
        height=view.height,
        seed=view.seed,
        flow_fps_numerator=view.flow_fps_numerator,
        flow_fps_denominator=view.flow_fps_denominator,
    )


def _check_style(request: Generate, style: Style) -> None:
    """Refuse at once, in the backend's words, what the style cannot make: no strip shall wait for it."""
    if not all(side in sizes.legal(style) for side in (request.width, request.height)):
        raise WishError(
            Phrase(
                "A size of {width} × {height} pixels is not possible with this style.",
                width=request.width,
                height=request.height,
            ),
            Phrase(
                "Choose width and height between {least} and {most} pixels, in steps of {step}.",
                least=style.min_size,
                most=style.max_size,
                step=style.size_step,
            ),
            "size_out_of_range",
        )
    if request.frames > style.max_frames:
        raise WishError(
            Phrase("A clip of {count} frames is not possible with this style.", count=request.frames),
            Phrase("Choose between 1 and {most} frames.", most=style.max_frames),
            "frames_out_of_range",
        )
    if request.preset and request.preset not in style.presets:
        raise WishError(
            Phrase('There is no preset "{name}" in this style.', name=request.preset),
            Phrase("Choose one of these: {names}.", names=", ".join(style.presets)),
        )


def _check_types(request: Generate) -> None:
    """Refuse what a script gives that no request can carry, such as a LoRA's weight of 10."""
    try:
        msgspec.convert(msgspec.to_builtins(request), Generate)
    except msgspec.ValidationError as error:
        sentence = Phrase("This clip cannot be asked for: {error}.", error=mistakes.of_request(error))
        raise WishError(sentence, "Change what is named there.") from error


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
