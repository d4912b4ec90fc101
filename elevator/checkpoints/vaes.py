"""Of which family a VAE is. Those of SD 1.x, SD 2.x and SDXL have the same layers in the same shapes, but SDXL's was
trained anew (arXiv 2307.01952, section 2.4), and what one of them has encoded is noise to the other.

So metadata tell, or the scale of the latents in a config: 0.13025 for SDXL, 0.18215 before, as published. A name is a
guess.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .kinds import Family
from .training import names_of, words_of

SDXL_SCALE = 0.13025
"""By which SDXL's latents are multiplied."""
_OWN_NAMES = "diffusion_pytorch_model"
"""How diffusers calls a file of weights, whose config lies beside it."""
_SDXL_WORDS = {"sdxl", "xl"}


def family_of_scale(config: Mapping[str, Any]) -> Family:
    """As a VAE's config tells it."""
    return Family.SDXL if config.get("scaling_factor") == SDXL_SCALE else Family.UNKNOWN


def family_beside(path: Path) -> Family:
    """As the config beside a file of diffusers tells it."""
    if not path.name.startswith(_OWN_NAMES):
        return Family.UNKNOWN
    try:
        config = json.loads((path.parent / "config.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return Family.UNKNOWN
    return family_of_scale(config) if isinstance(config, dict) else Family.UNKNOWN


def guess(path: Path) -> str:
    """A sentence if a file that does not say its family has a name as those of SDXL have; else nothing."""
    named = next((name for name in names_of(path) if words_of(name) & _SDXL_WORDS), None)
    if named is None:
        return ""
    return (
        f'{path.name} may be a VAE of SDXL, because of the name "{named}"; if its pictures are noise, '
        "choose one of SD 1.x or SD 2.x."
    )
