"""Whether the numbers are right: recordings, forwards in every precision, the processor's clip, seeds, no waiting."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file

from elevator import Models, Plan, Sources, elevate, load_models
from elevator.chain.cross_frame import Call
from elevator.pixels import Pixels
from tests.gpu.card import Card
from tests.gpu.parts import ROOT, Check, Finding, Setting
from tests.parity import T2VS, errors, read_case, recorded_models, relative_error

GOLDEN = ROOT / "tests" / "golden"
EXACT = 1e-4
"""Of float32 against the recordings, ‖x − ref‖ / ‖ref‖."""
TOLERANCES = {torch.float32: EXACT, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Of one forward of a network against the recordings: some roundings to 11 and 8 bits."""
NEAR = 2
"""Of 255: how far a frame may be from the processor's."""
SMALL = ("one_step", "no_refining")
"""Cases of the miniature."""
SHORT = Plan(steps=1, refine=())
PROMPT = "a pumpkin moving right, blue background"


@contextmanager
def exact_products() -> Iterator[None]:
    """Without TF32, whose 10 bits of mantissa alone are an error of 1e-3."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def recordings(setting: Setting) -> Iterator[Finding]:
    """Every recorded chain, at every stage."""
    names = SMALL if setting.small else sorted(file.stem for file in (GOLDEN / "cases").glob("*.json"))
    for name in names:
        case = read_case(GOLDEN / "cases", name, setting.device)
        with exact_products():
            error = max(errors(case, recorded_models(GOLDEN, case.settings.t2v, setting.device)).values())
        text = f"relative error {error:.1e} (at most {EXACT:.0e})"
        yield Finding(f"recording {name}", text, error <= EXACT, {"error": error})


def single_forwards(setting: Setting) -> Iterator[Finding]:
    """Each network and the VAE by itself, in float32, float16 and bfloat16."""
    single = load_file(GOLDEN / "cases" / "single_forward.safetensors", device=setting.device)
    for dtype, tolerance in TOLERANCES.items():
        with exact_products():
            found: dict[str, float] = {}
            for kind in ("lavie",) if setting.small else T2VS:
                models = load_models(Sources.of(GOLDEN / "t2i", GOLDEN / T2VS[kind]), setting.device, dtype)
                found |= _forwards(models, kind, single, dtype)
        worst = max(found, key=lambda name: found[name])
        precision = str(dtype).removeprefix("torch.")
        text = f"relative error up to {found[worst]:.1e} ({worst}; at most {tolerance:.0e})"
        yield Finding(f"single forwards in {precision}", text, found[worst] <= tolerance, found)


@torch.inference_mode()
def _forwards(models: Models, kind: str, single: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, float]:
    clips, text = single["sample"].transpose(1, 2).to(dtype), single["prompt_embeds"].to(dtype)
    frames = text.repeat_interleave(clips.shape[1], dim=0)
    made = {
        "t2i": models.t2i.unet(clips.flatten(0, 1), 500, frames).sample,
        kind: models.t2v(clips, 500, Call.of(text)).transpose(1, 2),
        "decoded": models.vae.decode(clips[0].float() / models.vae.config.scaling_factor).sample,
    }
    # The VAE stays in float32; what it is given was rounded.
    return {name: relative_error(output.float(), single[name]) for name, output in made.items()}


def _clip(models: Models, plan: Plan, frames: int, seed: int) -> Pixels:
    steps = elevate(models, prompt=PROMPT, plan=plan, frames=frames, height=64, width=64, seed=seed)
    return np.stack([step.frame[1] for step in steps if step.frame is not None])


def _embedded(device: str, dtype: torch.dtype) -> Models:
    weights = ROOT / "elevator" / "embedded" / "weights"
    return load_models(Sources.of(weights / "t2i", weights / "zeroscope"), device, dtype)


def the_processors_clip(setting: Setting) -> Iterator[Finding]:
    """A clip of the embedded models in float32, there and here."""
    plan, frames = (SHORT, 2) if setting.small else (Plan(), 16)
    with exact_products():
        there = _clip(_embedded(setting.device, torch.float32), plan, frames, 1)
        here = _clip(_embedded("cpu", torch.float32), plan, frames, 1)
    away = int(np.abs(there.astype(int) - here).max())
    yield Finding("the processor's clip", f"at most {away} of 255 away (at most {NEAR})", away <= NEAR, {"away": away})


def same_seed(setting: Setting) -> Iterator[Finding]:
    """A clip twice in the device's usual precision, and another seed's."""
    half = torch.float32 if setting.small else torch.float16
    models = _embedded(setting.device, half)
    plan, frames = (SHORT, 1) if setting.small else (models.presets["fast"].plan, 4)
    first, again, other = (_clip(models, plan, frames, seed) for seed in (1, 1, 2))
    same, differs = bool((first == again).all()), bool((first != other).any())
    there, here = "the same" if same else "OTHER", "others" if differs else "THE SAME"
    text = f"the same seed gives {there} pixels, another seed {here}"
    yield Finding("seeds", text, same and differs)


def waiting(setting: Setting) -> Iterator[Finding]:
    """Where the processor waits for the device inside a chain, as torch's own check sees it."""
    if not Card(torch.device(setting.device)).is_cuda:
        yield Finding("waiting", "torch sees this on CUDA alone; here a test on tensors without values stands for it")
        return
    models = _embedded(setting.device, torch.float16)
    plan = models.presets["fast"].plan
    places: set[str] = set()

    def noted(*_: object, **__: object) -> None:
        ours = [each for each in traceback.extract_stack() if each.filename.startswith(str(ROOT / "elevator"))]
        places.add(f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "outside")

    _clip(models, plan, 4, 1)  # kernels are chosen, pinned memory is there
    steps = elevate(models, prompt=PROMPT, plan=plan, frames=4, height=64, width=64, seed=1)
    with warnings.catch_warnings(), mock.patch.object(warnings, "showwarning", noted):
        warnings.simplefilter("always")
        for step in steps:
            # From the chain's second call to its last.
            inside = step.phase in ("painting", "refining", "inverting")
            torch.cuda.set_sync_debug_mode("warn" if inside else "default")
    torch.cuda.set_sync_debug_mode("default")
    # After the chain's last call comes the decoding of the first frame, which waits for its pixels.
    waits = sorted(place for place in places if not place.startswith("decoding.py"))
    text = f"{len(waits)} places inside the chain wait: {', '.join(waits) or 'none'}"
    yield Finding("waiting", text, not waits, {"places": sorted(places)})


CHECKS: tuple[Check, ...] = (recordings, single_forwards, the_processors_clip, same_seed, waiting)
