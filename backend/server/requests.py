"""From what a client asks to what the worker does: requests are checked against styles, uploads and results."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePath

import msgspec

from elevator import ElevatorError, Lora, Plan, Sources
from elevator.arguments import nearest
from elevator.checkpoints.fitting import misfits
from elevator.pictures.rates import exact, length
from elevator.presets import TURBO, why_not
from elevator.text import parse
from elevator.vocabulary import known_words, unknown_words
from shared_protocol import wire
from shared_protocol.messages import MOST_CLIP_FRAMES, Conform, Done, Generate
from shared_protocol.texts import cut, listed, sentences

from ..failures import Failure
from ..orders import Order, Resample, Sample
from ..styles.catalogue import Catalogue
from ..styles.loras import by_name
from ..styles.recipes import MOST_STEPS, NAMED, Recipe, total_calls
from .descriptors import can_open
from .paths import Outside, inside

log = logging.getLogger(__name__)

EXAMPLE = "a pumpkin moving right, blue background"
LISTED_WORDS = 8
LISTED_STYLES = 20
WORD_LENGTH = 40
"""Letters of a word that a warning repeats at most."""
MOST_CALLS = 5_000_000
"""Network calls that one clip may take, counted as if each were for one frame: years of work, but a count that can be
told."""
MOST_PIXELS = 20_000_000
"""Of one frame: PNG files take 3 bytes for a pixel at the worst and a little more, and one buffer takes 64 MiB."""
ORDER_BYTES = wire.MAX_HEADER_BYTES * 3 // 4
"""What an order and the paths of its pictures may take, so that its worker can be told."""
FindUpload = Callable[[str], Path | None]
"""The file of an uploaded picture by its hash, or None."""


def no_uploads(sha256: str) -> Path | None:
    """Where nothing can have been uploaded."""
    return None


def resolve(
    request: Generate, catalogue: Catalogue, *, fake: bool, upload: FindUpload = no_uploads
) -> tuple[Sample, tuple[str, ...]]:
    """The order for the worker, and warnings for the user. Raises BackendError.

    With `fake` no model needs to be there.
    """
    recipe = catalogue.recipes.get(request.style)
    if recipe is None:
        raise _no_style(request.style, catalogue)
    if not request.prompt.strip():
        raise Failure("empty_prompt", example=recipe.style.example_prompt or EXAMPLE)
    _check_size(request, recipe)
    if not fake and (missing := recipe.missing()) is not None:
        raise Failure("model_missing", folder=missing)
    order = _order(request, recipe)
    if not fake and can_open():
        _check_models(order.sources)
    _check_length_of_order(order, uploaded(order, upload))
    notes = (*parse(order.prompt).notes, *parse(order.negative_prompt).notes)
    unknown = _rehearsed_unknown_words(request.prompt) if fake else _unknown_words(request.prompt, recipe)
    return order, sentences(dict.fromkeys((*notes, *_warning(unknown))))


def _no_style(name: str, catalogue: Catalogue) -> Failure:
    """A style of this name is not there, or cannot be used."""
    styles = listed(catalogue.recipes, LISTED_STYLES) or "none exist"
    if (why := catalogue.skipped.get(name)) is None:
        return Failure("unknown_style", style=name, styles=styles)
    return Failure("unknown_style", style=name, styles=styles, why=f": {why}", mend="Mend that file, or choose")


def _check_size(request: Generate, recipe: Recipe) -> None:
    style = recipe.style
    for pixels in (request.width, request.height):
        if not style.min_size <= pixels <= style.max_size or pixels % style.size_step:
            raise Failure(
                "size_out_of_range",
                width=request.width,
                height=request.height,
                least=style.min_size,
                most=style.max_size,
                step=style.size_step,
            )
    if request.width * request.height > MOST_PIXELS:
        detail = f"{request.width} × {request.height} pixels are more than the {MOST_PIXELS} that a frame may have"
        raise Failure("bad_request", detail=detail)
    if request.frames > style.max_frames:
        raise Failure("frames_out_of_range", frames=request.frames, most=style.max_frames)


def _check_models(sources: Sources) -> None:
    """Say before a clip is accepted what its worker would say after reading gigabytes. Raises Failure."""
    for misfit in misfits(sources):
        match misfit.code:
            case "missing":
                raise Failure("model_missing", folder=misfit.path)
            case "broken":
                raise Failure("model_broken", detail=misfit.what, step=misfit.step)
            case "unfit":
                raise Failure("model_unfit", detail=misfit.what, step=misfit.step)


def _check_length_of_order(order: Sample, pictures: Mapping[str, str]) -> None:
    if len(msgspec.json.encode((order, pictures))) > ORDER_BYTES:
        raise Failure("bad_request", detail="its pictures and LoRAs are too many for one clip")


def resolve_conform(request: Conform, source: Done, folder: Path) -> Resample:
    """The order for the worker. `source`: how the finished clip in `folder` ended. Raises BackendError."""
    then = source.fps
    now = Fraction(request.fps_numerator, request.fps_denominator)
    return Resample(
        source=str(folder),
        source_frames=source.frames,
        source_fps=(then.numerator, then.denominator),
        frames=_check_length(source.frames, then, now),
        fps=(now.numerator, now.denominator),
        method=request.method,
        width=source.width,
        height=source.height,
        seed=source.seed,
    )


def _check_length(frames: int, then: Fraction, now: Fraction) -> int:
    """How many frames so many are at another rate. Raises BackendError if they are too many."""
    made = length(frames, then, now)
    if made > MOST_CLIP_FRAMES:
        detail = f"at this rate the clip has {made} frames, and {MOST_CLIP_FRAMES} at most"
        raise Failure("bad_request", detail=detail)
    return made


def _plan(request: Generate, recipe: Recipe) -> Plan:
    """The style's plan, or that of the preset that was chosen, with the request's own settings."""
    if request.preset and request.preset not in recipe.presets:
        names = listed(recipe.presets, NAMED)
        detail = f'there is no preset "{request.preset}", only {names}'
        raise Failure("bad_request", detail=why_not(TURBO, recipe.presets) if request.preset == TURBO else detail)
    plan = recipe.presets[request.preset] if request.preset else recipe.plan
    try:
        made = plan.changed(request.settings)
        msgspec.json.encode(made)
    except ElevatorError as error:
        raise Failure("bad_request", detail=str(error).rstrip(".")) from error
    except OverflowError:
        raise Failure("bad_request", detail="a number in the settings is too large") from None
    if made.steps > MOST_STEPS:
        raise Failure("bad_request", detail=f"{made.steps} steps are too many; choose {MOST_STEPS} at most")
    if total_calls(made) * request.frames > MOST_CALLS:
        raise Failure("bad_request", detail="so many steps and refinements are too much for so many frames")
    return made


def _loras(request: Generate, recipe: Recipe) -> tuple[Lora, ...]:
    """The style's LoRAs, with the weights that the request gives them, and those that it names in the folders that it
    may name files in."""
    off = [Lora(path=lora.path, weight=0.0) for lora in recipe.spare_loras]
    named = by_name((*recipe.sources.loras, *off), recipe.lora_folders)
    found = []
    for choice in request.loras:
        if choice.name in named:
            named[choice.name] = Lora(path=named[choice.name].path, weight=choice.weight)
            continue
        try:
            paths = [inside(folder, choice.name) for folder in recipe.lora_folders]
        except Outside as error:
            raise Failure("lora_missing", name=choice.name, detail=str(error).rstrip(".")) from error
        path = next((path for path in paths if os.path.isfile(path) or os.path.isdir(path)), None)
        if path is None:
            raise Failure(
                "lora_missing", name=choice.name, detail=f"there is no such file{_meant(choice.name, recipe)}"
            )
        found.append(Lora(path=str(path), weight=choice.weight))
    return tuple(lora for lora in (*named.values(), *found) if lora.weight)


def _meant(name: str, recipe: Recipe) -> str:
    """Which LoRA may be meant by a name, such as one without its ending or in other case; or nothing."""
    known = {PurePath(view.name).stem.casefold(): view.name for view in recipe.style.loras}
    near = nearest(PurePath(name).stem.casefold(), known)
    return f'; "{known[near]}" may be meant' if near else ""


def uploaded(order: Order, upload: FindUpload) -> dict[str, str]:
    """Where the pictures lie that an order names. Raises BackendError if one is not there."""
    paths = {}
    for sha256 in order.pictures if isinstance(order, Sample) else ():
        path = upload(sha256)
        if path is None:
            raise Failure("footage_missing", detail=f"the picture {sha256[:12]}… was not uploaded")
        paths[sha256] = str(path)
    return paths


def _order(request: Generate, recipe: Recipe) -> Sample:
    if request.footage and len(request.footage) != request.frames:
        detail = f"{len(request.footage)} pictures were given for {request.frames} frames"
        raise Failure("bad_request", detail=detail)
    if request.strength < 1 and not request.footage:
        raise Failure("bad_request", detail="a strength below 1 needs footage")
    negatives = (recipe.negative_prompt.strip(), request.negative_prompt.strip())
    return Sample(
        prompt=recipe.template.replace("{prompt}", request.prompt.strip()),
        negative_prompt=", ".join(words for words in negatives if words),
        sources=msgspec.structs.replace(recipe.sources, loras=_loras(request, recipe)),
        plan=_plan(request, recipe),
        frames=request.frames,
        width=request.width,
        height=request.height,
        fps=recipe.fps,
        seed=request.seed,
        style=request.style,
        preset=request.preset or recipe.style.preset,
        footage=request.footage,
        strength=request.strength,
        anchor=request.anchor or None,
        flow_fps=_flow_fps(request, recipe),
    )


def _flow_fps(request: Generate, recipe: Recipe) -> tuple[int, int] | None:
    if request.flow_fps is None:
        return None
    _check_length(request.frames, exact(recipe.fps), request.flow_fps)
    return request.flow_fps.numerator, request.flow_fps.denominator


def _warning(unknown: Collection[str]) -> tuple[str, ...]:
    if not unknown:
        return ()
    words = [f"“{cut(word, WORD_LENGTH)}”" for word in islice(unknown, LISTED_WORDS)]
    told = ", ".join(words) + (" and more" if len(unknown) > LISTED_WORDS else "")
    return (f"The models do not know {told}: the clip is made all the same, but may not show it.",)


@lru_cache(maxsize=16)
def _known(folder: Path) -> Collection[str] | None:
    """The words that a model knows; None, which is all of them, also if its list cannot be read."""
    try:
        return known_words(folder)
    except (OSError, UnicodeDecodeError) as error:
        log.warning("The words in %s cannot be read: %s.", folder, error)
        return None


def _unknown_words(prompt: str, recipe: Recipe) -> Collection[str]:
    """Words of a prompt without its syntax, such as the 1.2 of (words:1.2)."""
    words = " ".join(fragment.text for fragment in parse(prompt).fragments)
    return unknown_words(words, _known(recipe.sources.t2i_path))


def _rehearsed_unknown_words(prompt: str) -> Collection[str]:
    """The fake maker knows all words but those that say otherwise."""
    return [word.removeprefix("unknown:") for word in prompt.split() if word.startswith("unknown:")]
