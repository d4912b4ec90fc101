"""Memory: what `estimate` foresees against what the device's allocator had at most, and where they part."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from elevator.chain.cross_frame import Text
from elevator.chain.denoiser import Denoiser
from elevator.cost.estimating import estimate
from elevator.models.pair import Models
from elevator.plan import Plan
from elevator.steps import result
from tests.gpu.card import Card
from tests.gpu.networks import PAIRS, image_unet, pair
from tests.gpu.parts import Check, Finding, Setting

PLAN = Plan(steps=2, refine=(2,), refine_steps=1)
WITHIN = 0.15


def precision(setting: Setting) -> torch.dtype:
    return torch.float32 if setting.small else torch.float16


def denoisers(models: Models, plan: Plan) -> tuple[Denoiser, Denoiser]:
    """T2I and T2V of a pair, on random embeddings."""

    def text(width: int) -> Text:
        return Text(torch.randn(2, 1, 77, width, device=models.reading.device).to(models.reading.dtype))

    t2i, t2v = (encoder.encoder.config.hidden_size for encoder in (models.t2i_text, models.t2v_text))
    steps = [schedule.with_steps(plan.steps) for schedule in (models.t2i_schedule, models.t2v_schedule)]
    return (
        Denoiser("T2I", models.t2i, steps[0], text(t2i), plan.guidance, plan.image_spans),
        Denoiser("T2V", models.t2v, steps[1], text(t2v), plan.video_guidance, plan.video_spans),
    )


def _output(denoiser: Denoiser, z: Tensor) -> Tensor:
    """A guided one; t is any timestep."""
    return result(denoiser.guided(z, 501)).guided


def foreseen(setting: Setting) -> Iterator[Finding]:
    """Weights, a guided call of either network and a decoded frame, for each pair."""
    card, side = Card(torch.device(setting.device)), 64 if setting.small else 512
    frames = 2 if setting.small else 16
    image = image_unet(card.device, precision(setting), setting.small)
    for kind in PAIRS if not setting.small else ("lavie",):
        models = pair(kind, card.device, precision(setting), setting.small, image)
        said = estimate(PLAN, models, frames=frames, height=side, width=side)
        weights = card.held
        t2i, t2v = denoisers(models, PLAN)
        z = torch.randn(frames, *models.latent_shape(side, side), device=card.device)
        took = {
            "painting": card.took(partial(_output, t2i, z), 0).own,
            "refining": card.took(partial(_output, t2v, z), 0).own,
            "decoding": card.took(partial(models.decode, z[0]), 0).own,
        }
        told = {name: getattr(said, name).memory for name in took}
        # A processor does not count its tensors: weights are taken as foreseen there.
        whole = (weights if card.is_cuda else said.weights) + max(took.values()) + said.kept
        off = (said.peak - said.process) / whole - 1
        parts = ", ".join(f"{name} {told[name] / 1e9:.2f} for {took[name] / 1e9:.2f}" for name in took)
        text = f"{(said.peak - said.process) / 1e9:.2f} GB foreseen, {whole / 1e9:.2f} GB taken ({off:+.0%}): "
        text += f"weights {said.weights / 1e9:.2f} for {weights / 1e9:.2f}, {parts}"
        values = {f"{name}_ratio": took[name] / max(told[name], 1) for name in took}
        yield Finding(f"memory of {kind}", text, None if setting.small else abs(off) <= WITHIN, values | {"off": off})
        del models, t2i, t2v
        card.empty()


CHECKS: tuple[Check, ...] = (foreseen,)
