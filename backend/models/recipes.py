"""A set of the catalogue as the contents of a base's and a style's file (docs/STYLES.md), for whoever writes them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from .catalogue import Catalogue, WeightedLora
from .stock import place_of


def base_of(catalogue: Catalogue, name: str) -> dict[str, object]:
    """The keys of a base for the set of this name, with whole paths of its models, whether they are here or not."""
    made = catalogue.sets[name]
    base: dict[str, object] = {
        "title": made.title,
        "t2i": place(catalogue, made.t2i),
        "t2v": place(catalogue, made.t2v),
        "width": made.width,
        "height": made.height,
        "frames": made.frames,
        "fps": made.fps,
        "presets": made.presets,
    }
    if made.vae is not None:
        base["vae"] = place(catalogue, made.vae)
    if made.t2v_text is not None:
        base["t2v_text"] = place(catalogue, made.t2v_text)
    if made.t2v_schedule is not None:
        base["t2v_schedule"] = made.t2v_schedule
    if made.distilled is not None and not made.loras:
        base["distilled"] = made.distilled
    if made.t2v_loras:
        base["t2v_loras"] = _loras(catalogue, made.t2v_loras)
    return base


def style_of(catalogue: Catalogue, name: str, base: str) -> dict[str, object]:
    """The keys of a style for the set of this name, on the base of that name.

    LoRAs that are got with the set, but are not always on, are in the style switched off.
    """
    made = catalogue.sets[name]
    style: dict[str, object] = {
        "title": made.title,
        "description": made.about,
        "base": base,
        "preset": made.preset,
        "example_prompt": made.example_prompt,
    }
    if made.distilled is not None and made.loras:
        style["distilled"] = made.distilled
    loras = _loras(catalogue, made.loras)
    also = [name for name in made.also if catalogue.models[name].kind in ("lora", "motion_lora")]
    loras += [{"path": place(catalogue, name), "weight": 1.0, "on": False} for name in also]
    return {**style, "loras": loras} if loras else style


def place(catalogue: Catalogue, model: str) -> str:
    """What a base names for a model: its file of weights, or its folder."""
    return os.fspath(place_of(model, catalogue.models[model].main))


def _loras(catalogue: Catalogue, loras: Iterable[WeightedLora]) -> list[dict[str, object]]:
    return [{"path": place(catalogue, lora.model), "weight": lora.weight} for lora in loras]
