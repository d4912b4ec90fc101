"""What a clip is made with where nobody says it: size, strength, plan; and pictures brought to a clip's size."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageOps

from .errors import PlanError
from .models.decoding import factor
from .models.pair import Models
from .pixels import Pixels
from .plan import Plan
from .presets import why_not

NATIVE = 512
"""Height and width of Stable Diffusion 1.x, for T2Is whose config names none, pixels."""
STRENGTH = 0.8
"""How much of a video is made anew where nobody says it, as in diffusers' `AnimateDiffVideoToVideoPipeline`."""
Picture: TypeAlias = Image.Image | Pixels


def native_size(models: Models) -> int:
    """Height and width that the T2I was trained at, pixels: what its UNet's config says, or else `NATIVE`."""
    latent = models.t2i.unet.config.get("sample_size")
    return latent * factor(models.vae) if isinstance(latent, int) else NATIVE


def default_strength(video: object) -> float:
    """Of a clip that starts from a video, or from None."""
    return 1.0 if video is None else STRENGTH


def preset_plan(models: Models, name: str) -> Plan:
    """The plan of one of the models' presets. Raises PlanError if there is none of this name."""
    try:
        return models.presets[name].plan
    except KeyError:
        why = why_not(name, models.presets)
        raise PlanError(f"{why[0].upper()}{why[1:]}.") from None


def with_steps(plan: Plan, steps: int) -> Plan:
    """The plan in another number of steps, with all that is counted in steps in proportion.

    The T2V takes over at the same parts of the way and for as large a part of it, rounded to whole steps, at least
    one; countdowns that fall together are one. Raises PlanError if `steps` is not 1 or more.
    """
    if steps == plan.steps:
        return plan

    def scaled(count: int) -> int:
        return max(round(count * steps / plan.steps), 1)

    refine_steps = scaled(plan.refine_steps)
    refine = tuple(sorted({max(scaled(countdown), refine_steps) for countdown in plan.refine}, reverse=True))
    inversion_steps = plan.inversion_steps
    if inversion_steps is not None and refine:
        inversion_steps = max(min(scaled(inversion_steps), refine[0] - 1), 1)
    return replace(plan, steps=steps, refine=refine, refine_steps=refine_steps, inversion_steps=inversion_steps)


def fitted(picture: Picture, size: tuple[int, int]) -> Pixels:
    """A picture as (H, W, 3) of `size`, (W, H): scaled so that it covers that, and the middle cut out. What is
    transparent lies on black."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if image.has_transparency_data:  # the colours below are whatever a program has left there
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image.convert("RGBA"))
    return np.array(ImageOps.fit(image.convert("RGB"), size))  # a copy, because torch wants to be able to write
