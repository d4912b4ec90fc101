"""From what a client asks to what the worker does: requests are checked against the styles."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from elevator.text import parse
from elevator.vocabulary import known_words, unknown_words
from shared_protocol.messages import Generate

from .failures import BackendError
from .orders import Sample
from .styles import Catalogue, Recipe

EXAMPLE = "a pumpkin moving right, blue background"
LISTED_WORDS = 8


def resolve(request: Generate, catalogue: Catalogue, *, fake: bool) -> tuple[Sample, tuple[str, ...]]:
    """The order for the worker, and warnings for the user. Raises BackendError.

    With `fake` no model needs to be there.
    """
    recipe = catalogue.recipes.get(request.style)
    if recipe is None:
        raise BackendError("unknown_style", style=request.style, styles=", ".join(catalogue.recipes) or "none exist")
    if not request.prompt.strip():
        raise BackendError("empty_prompt", example=recipe.style.example_prompt or EXAMPLE)
    _check_size(request, recipe)
    if not fake and (missing := recipe.missing()) is not None:
        raise BackendError("model_missing", folder=missing)
    order = _order(request, recipe)
    notes = (*parse(order.prompt).notes, *parse(order.negative_prompt).notes)
    unknown = _rehearsed_unknown_words(request.prompt) if fake else _unknown_words(request.prompt, recipe)
    return order, tuple(dict.fromkeys((*notes, *_warning(unknown))))


def _check_size(request: Generate, recipe: Recipe) -> None:
    style = recipe.style
    for pixels in (request.width, request.height):
        if not style.min_size <= pixels <= style.max_size or pixels % style.size_step:
            raise BackendError(
                "size_out_of_range",
                width=request.width,
                height=request.height,
                least=style.min_size,
                most=style.max_size,
                step=style.size_step,
            )
    if request.frames > style.max_frames:
        raise BackendError("frames_out_of_range", frames=request.frames, most=style.max_frames)


def _order(request: Generate, recipe: Recipe) -> Sample:
    negatives = (recipe.negative_prompt.strip(), request.negative_prompt.strip())
    return Sample(
        job=request.job,
        prompt=recipe.template.replace("{prompt}", request.prompt.strip()),
        negative_prompt=", ".join(words for words in negatives if words),
        t2i=str(recipe.t2i),
        t2v=str(recipe.t2v),
        vae=_text(recipe.vae),
        prediction_type=recipe.prediction_type,
        t2v_loras=recipe.t2v_loras,
        t2v_text=_text(recipe.t2v_text),
        t2v_schedule=recipe.t2v_schedule,
        loras=recipe.loras,
        loras_on_t2v=recipe.loras_on_t2v,
        embeddings=tuple(str(path) for path in recipe.embeddings),
        plan=dict(recipe.plan),
        frames=request.frames,
        width=request.width,
        height=request.height,
        fps=recipe.fps,
        seed=request.seed,
        previews=request.previews,
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _warning(unknown: Collection[str]) -> tuple[str, ...]:
    if not unknown:
        return ()
    words = [f"“{word}”" for word in unknown]
    listed = ", ".join(words[:LISTED_WORDS]) + (" and more" if len(words) > LISTED_WORDS else "")
    return (f"The models do not know {listed}: the clip is made all the same, but may not show it.",)


_known = lru_cache(maxsize=16)(known_words)


def _unknown_words(prompt: str, recipe: Recipe) -> Collection[str]:
    """Words of a prompt without its syntax, such as the 1.2 of (words:1.2)."""
    words = " ".join(part.text for part in parse(prompt).parts)
    return unknown_words(words, _known(recipe.t2i))


def _rehearsed_unknown_words(prompt: str) -> Collection[str]:
    """The fake generator knows all words but those that say otherwise."""
    return [word.removeprefix("unknown:") for word in prompt.split() if word.startswith("unknown:")]
