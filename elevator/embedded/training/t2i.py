"""Training the text encoder and the text-to-image UNet together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ..small_world.captions import full_caption, random_caption
from ..small_world.world import BACKGROUNDS, MOTIONS, SUBJECTS, Scene
from .data import Encoded
from .diffusion import NoiseLevels, add_noise, ddim, v_loss
from .models import plain_attention
from .precision import half_precision
from .preview import save_sheet, to_pixels
from .text import CaptionHead, direction_gate, embed, tokens

CAPTION_DROPOUT = 0.1
_LOW_FREQUENCIES = 2.0
_HELPER_WEIGHT = 0.05


def preview_scenes(count: int = 24) -> list[Scene]:
    """One scene for each subject, backgrounds and motions in turn; always the same."""
    scenes = []
    for i, subject in enumerate(SUBJECTS[:count]):
        allowed = [b for b in BACKGROUNDS if b.name not in subject.avoid]
        scenes.append(Scene(subject, allowed[(5 * i) % len(allowed)], MOTIONS[i % len(MOTIONS)]))
    return scenes


class TrainableT2I:
    """Text encoder + UNet (+ helper head) for the training loop."""

    helper_captions = 16
    """How many captions of a batch the helper head is asked about."""
    dropout = CAPTION_DROPOUT

    def __init__(
        self, unet: UNet2DConditionModel, text: CLIPTextModel, tokenizer: CLIPTokenizer,
        vae: AutoencoderKL, data: Encoded, batch: int = 32, levels: NoiseLevels | None = None,
    ) -> None:  # fmt: skip
        self.unet, self.text, self.tokenizer = unet, text, tokenizer
        self.vae, self.data, self.batch = vae, data, batch
        self.levels = levels or NoiseLevels()
        self.head = CaptionHead(text.config.hidden_size)
        plain_attention(unet, text)
        unet.train()
        text.train()

    def trained(self) -> dict[str, nn.Parameter]:
        modules = {"unet": self.unet, "text": self.text, "head": self.head}
        return {
            f"{part}.{name}": parameter
            for part, module in modules.items()
            for name, parameter in module.named_parameters()
        }

    def rate_factor(self, name: str) -> float:
        return 1.0

    def examples(self, generator: torch.Generator) -> tuple[list[Scene], list[str], Tensor, np.random.Generator]:
        """Scenes, captions (some dropped for guidance), latents (b, 4, 16, 16), and the words' dice."""
        scenes, x0 = self.data.pick(self.batch, generator)
        rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        captions = ["" if rng.random() < self.dropout else random_caption(scene, rng) for scene in scenes]
        return scenes, captions, x0, rng

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        scenes, captions, x0, rng = self.examples(generator)
        asked = scenes[: self.helper_captions]
        whole = [random_caption(scene, rng, whole=True) for scene in asked]
        states = embed(self.text, tokens(self.tokenizer, [*captions, *whole]))
        t = self.levels.draw(self.batch, generator)
        noise = torch.randn(x0.shape, generator=generator)
        output = self.unet(add_noise(x0, noise, t), t, states[: len(captions)]).sample
        loss = v_loss(output, x0, noise, t, _LOW_FREQUENCIES)
        if not asked:
            return loss, {}
        helper = self.head.loss(states[len(captions) :], asked)
        figures = {"v": float(loss.detach()), "helper": float(helper.detach())}
        return loss + _HELPER_WEIGHT * helper, figures

    def sample(self, captions: list[str], seed: int, steps: int = 20, guidance: float = 2.2) -> Tensor:
        """Decoded images (b, 3, 64, 64) for captions."""
        noise = torch.randn((len(captions), 4, 16, 16), generator=torch.Generator().manual_seed(seed))
        states = embed(self.text, tokens(self.tokenizer, ["" for _ in captions] + captions))

        def predict(x: Tensor, t: Tensor) -> Tensor:
            both = self.unet(torch.cat([x, x]), torch.cat([t, t]), states).sample.float()
            without, with_text = both.chunk(2)
            guided: Tensor = without + guidance * (with_text - without)
            return guided

        with half_precision():
            latents = ddim(predict, noise, steps)
            images: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return images

    def preview(self, picture: Path) -> str:
        self.unet.eval()
        captions = [full_caption(scene) for scene in preview_scenes()]
        pixels = to_pixels(self.sample(captions, seed=1))
        save_sheet([pixels[i : i + 8] for i in range(0, len(pixels), 8)], picture)
        self.unet.train()
        return f"text gate {direction_gate(self.text, self.tokenizer):.3f}"
