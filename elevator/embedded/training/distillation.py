"""Training the LCM-LoRA: the T2I in few steps, distilled from itself.

Source: Luo et al., Latent Consistency Models (arXiv 2310.04378), algorithm 1 with the guided solver of section 4.2 and
the skipping of section 4.3; as a LoRA: LCM-LoRA (arXiv 2311.05556). The frozen T2I is the teacher, and with the LoRA
the student.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ..small_world.captions import full_caption, random_caption
from ..small_world.judge import Judge, read
from .data import Encoded
from .diffusion import ALPHAS, add_noise, clean, shaped, subject_weight
from .lora import distillation_config
from .models import plain_attention
from .precision import half_precision
from .preview import save_sheet, to_pixels
from .t2i import preview_scenes
from .text import embed, tokens

GRID = 20
"""Timesteps between two of the 50 that an LCM of diffusers is asked about: 19, 39 … 999."""
SKIP = 2 * GRID
"""Timesteps of one step of the teacher's solver."""
GUIDANCE = 2.2
"""Of the teacher; the student needs none."""
_HUBER = 0.001
_LAST = 0.1
"""Share of samples at t = 999, where every chain begins."""


def consistency(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """c_skip x + c_out x0 for timesteps (b,), with diffusers' coefficients; at t = −1 the input itself."""
    scaled = 10.0 * shaped(t.float().clamp(min=0), x)
    return 0.25 / (scaled**2 + 0.25) * x + scaled / (scaled**2 + 0.25).sqrt() * clean(x, v, t)


class TrainableLcm:
    """The T2I's LCM-LoRA for the training loop."""

    def __init__(
        self, unet: UNet2DConditionModel, text: CLIPTextModel, tokenizer: CLIPTokenizer,
        vae: AutoencoderKL, data: Encoded, judge: Judge, batch: int = 24,
    ) -> None:  # fmt: skip
        self.unet, self.text, self.tokenizer = unet, text, tokenizer
        self.vae, self.data, self.judge, self.batch = vae, data, judge, batch
        plain_attention(unet, text)
        unet.requires_grad_(False)
        text.requires_grad_(False)
        unet.add_adapter(distillation_config())
        unet.eval()
        text.eval()

    def trained(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.unet.named_parameters() if p.requires_grad}

    def rate_factor(self, name: str) -> float:
        return 1.0

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The student's x0 at t against its own one step of the teacher further, by pseudo-Huber."""
        scenes, x0 = self.data.pick(self.batch, generator)
        rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        captions = [random_caption(scene, rng) for scene in scenes]
        told = embed(self.text, tokens(self.tokenizer, ["", *captions]))
        without, states = told[:1], told[1:]
        t = GRID * torch.randint(1, 1000 // GRID + 1, (self.batch,), generator=generator) - 1
        t = torch.where(torch.rand(self.batch, generator=generator) < _LAST, torch.full_like(t, 999), t)
        x = add_noise(x0, torch.randn(x0.shape, generator=generator), t)
        with torch.no_grad():
            further, target = self._solved(x, t, torch.cat([without.expand_as(states), states]))
            known = t >= SKIP
            asked = self._predict(further, (t - SKIP).clamp(min=0), states)
            target = torch.where(shaped(known, x), consistency(further, asked, (t - SKIP).clamp(min=0)), target)
        difference = consistency(x, self._predict(x, t, states), t) - target
        each = (difference.square() + _HUBER**2).sqrt() - _HUBER
        loss = (each * subject_weight(x0, t)).mean()
        return loss, {"first": float(each.detach()[t == 999].mean()) if (t == 999).any() else 0.0}

    def _predict(self, x: Tensor, t: Tensor, states: Tensor) -> Tensor:
        output: Tensor = self.unet(x, t, states).sample
        return output.float()

    def _solved(self, x: Tensor, t: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """The teacher's guided DDIM step from t to t − SKIP, and the clean latents that it sees there."""
        self.unet.disable_adapters()
        without, prompted = self._predict(torch.cat([x, x]), torch.cat([t, t]), states).chunk(2)
        self.unet.enable_adapters()
        v = without + GUIDANCE * (prompted - without)
        alpha, following = shaped(ALPHAS[t], x), shaped(ALPHAS[(t - SKIP).clamp(min=0)], x)
        x0 = clean(x, v, t)
        return following.sqrt() * x0 + (1 - following).sqrt() * (alpha.sqrt() * v + (1 - alpha).sqrt() * x), x0

    @torch.no_grad()
    def sample(self, captions: list[str], seed: int, steps: int = 4) -> Tensor:
        """Decoded images (b, 3, 64, 64) for captions, by multistep consistency sampling (algorithm 3)."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn((len(captions), 4, 16, 16), generator=generator)
        states = embed(self.text, tokens(self.tokenizer, captions))
        times = [999 - GRID * (i * 50 // steps) for i in range(steps)]
        with half_precision():
            for time, following in zip(times, [*times[1:], None], strict=True):
                t = torch.full((len(x),), time)
                x0 = consistency(x, self._predict(x, t, states), t)
                if following is not None:
                    noise = torch.randn(x.shape, generator=generator)
                    x = add_noise(x0, noise, torch.full_like(t, following))
            images: Tensor = self.vae.decode(x0 / self.vae.config.scaling_factor).sample
        return images

    def preview(self, picture: Path) -> str:
        """Four steps above, one step below; the shares of subjects that the judge reads rightly."""
        scenes = preview_scenes()
        captions = [full_caption(scene) for scene in scenes]
        rows, line = [], ""
        for steps in (4, 1):
            pixels = to_pixels(self.sample(captions, seed=1, steps=steps))
            right = np.mean(
                [a == s.subject.name for a, s in zip(read(self.judge, pixels).subjects, scenes, strict=True)]
            )
            line += f"{steps} steps: subjects {right:.3f}  "
            rows += [pixels[i : i + 8] for i in range(0, len(pixels), 8)]
        save_sheet(rows, picture)
        return line.rstrip()
