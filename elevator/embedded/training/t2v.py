"""Training the ZeroScope-like text-to-video UNet and its own text encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from ..small_world.captions import full_caption, random_caption
from ..small_world.world import CLIP_FRAMES, Scene, played_backwards
from .data import Encoded
from .diffusion import ALPHAS, NoiseLevels, add_noise, ddim, v_loss, velocity
from .models import plain_attention
from .precision import half_precision
from .preview import save_sheet, to_pixels
from .probe import motion_probe
from .t2i import CAPTION_DROPOUT, preview_scenes
from .text import CaptionHead, direction_gate, embed, tokens

_LOW_FREQUENCIES = 4.0
_MOTION_WEIGHT = 3.0
_HELPER_WEIGHT = 0.05
_NOISE_SHARING = (0.0, 1.0, 1.5)
"""How alike the frames' noise may be: correlation a^2 / (1 + a^2). Samplers use any of them."""


def clip_noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Noise (b, f, 4, h, w), shared between the frames of a clip by a random degree."""
    own = torch.randn(shape, generator=generator)
    shared = torch.randn((shape[0], 1, *shape[2:]), generator=generator)
    choice = torch.randint(len(_NOISE_SHARING), (shape[0],), generator=generator)
    a = torch.tensor(_NOISE_SHARING)[choice].view(-1, 1, 1, 1, 1)
    return (a * shared + own) / (1 + a.square()).sqrt()


class TrainableT2V:
    """UNet3D + text encoder (+ helper head) for the training loop."""

    def __init__(
        self, unet: UNet3DConditionModel, text: CLIPTextModel, tokenizer: CLIPTokenizer,
        vae: AutoencoderKL, data: Encoded, batch: int = 4, levels: NoiseLevels | None = None,
    ) -> None:  # fmt: skip
        self.unet, self.text, self.tokenizer = unet, text, tokenizer
        self.vae, self.data, self.batch = vae, data, batch
        self.levels = levels or NoiseLevels(last=0.35, late=0.75)
        self.head = CaptionHead(text.config.hidden_size)
        plain_attention(unet, text)
        for module in unet.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # the world is larger than what these models can remember
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
        """Temporal layers start from nothing and learn faster than what the painter knows."""
        return 2.0 if "temp_" in name or "transformer_in" in name else 1.0

    def predict(self, x: Tensor, t: Tensor, states: Tensor) -> Tensor:
        """v (b, f, 4, h, w) for clips (b, f, 4, h, w)."""
        output: Tensor = self.unet(x.transpose(1, 2), t, states).sample
        return output.float().transpose(1, 2)

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        scenes, x0, t, noise = self._pairs(generator)
        rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        captions = ["" if rng.random() < CAPTION_DROPOUT else random_caption(scene, rng) for scene in scenes]
        plain = [random_caption(scene, rng, whole=True) for scene in scenes]
        states = embed(self.text, tokens(self.tokenizer, [*captions, *plain]))
        helper = self.head.loss(states[len(captions) :], scenes)
        output = self.predict(add_noise(x0, noise, t), t, states[: len(captions)])
        each_t = t.repeat_interleave(x0.shape[1])
        picture = v_loss(output.flatten(0, 1), x0.flatten(0, 1), noise.flatten(0, 1), each_t, _LOW_FREQUENCIES)
        moving = self._motion_loss(output - velocity(x0, noise, t), t)
        figures = {"v": float(picture.detach()), "moving": float(moving.detach())}
        return picture + _MOTION_WEIGHT * moving + _HELPER_WEIGHT * helper, figures

    def _pairs(self, generator: torch.Generator) -> tuple[list[Scene], Tensor, Tensor, Tensor]:
        """Scenes, clips (b, f, 4, h, w), timesteps (b,) and noise: each clip and the same one played backwards.

        Both halves of a pair share subject, place, noise and timestep, so the motion word is all that tells them
        apart. Without pairs the model settles on a blob that spreads both ways, and stays there for long.
        """
        scenes, x0 = self.data.pick(self.batch // 2, generator)
        t = self.levels.draw(len(scenes), generator)
        noise = clip_noise(x0.shape, generator)
        backwards = [played_backwards(scene) for scene in scenes]
        return [*scenes, *backwards], torch.cat([x0, x0.flip(1)]), t.repeat(2), noise.repeat(2, 1, 1, 1, 1)

    def _motion_loss(self, error: Tensor, t: Tensor) -> Tensor:
        """Squared error of what differs between frames, in 2 x 2 means; from t >= 500 up.

        A subject covers a fifth of a frame: without this, "where does it go" is a small
        part of the loss beside "which colour is the background".
        """
        change = error - error.mean(1, keepdim=True)
        coarse = functional.avg_pool2d(change.flatten(0, 1), 2)
        each = coarse.square().view(len(t), -1).mean(1)
        return (each * (1 - ALPHAS[t]) * (t >= 500)).mean()

    def sample(self, captions: list[str], seed: int, steps: int = 12, guidance: float = 3.0) -> Tensor:
        """Decoded clips (b, f, 3, 64, 64) for captions."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn((len(captions), CLIP_FRAMES, 4, 16, 16), generator=generator)
        states = embed(self.text, tokens(self.tokenizer, ["" for _ in captions] + captions))

        def guided(x: Tensor, t: Tensor) -> Tensor:
            without, with_text = self.predict(torch.cat([x, x]), torch.cat([t, t]), states).chunk(2)
            return without + guidance * (with_text - without)

        with half_precision():
            latents = ddim(guided, noise, steps) / self.vae.config.scaling_factor
            images: Tensor = self.vae.decode(latents.flatten(0, 1)).sample
        return images.view(len(captions), CLIP_FRAMES, *images.shape[1:])

    def preview(self, picture: Path) -> str:
        """Mean clips from pure noise above, sampled clips below; every second frame."""
        self.unet.eval()
        line, rows = motion_probe(self.predict_clean, self.vae)
        captions = [full_caption(scene) for scene in preview_scenes(8)[1:5]]
        clips = self.sample(captions, seed=1)
        rows += [to_pixels(clip)[::2] for clip in clips]
        save_sheet(rows, picture)
        self.unet.train()
        return f"{line}  text gate {direction_gate(self.text, self.tokenizer):.3f}"

    def predict_clean(self, captions: list[str], noise: Tensor) -> Tensor:
        """x0 (b, f, 4, h, w) in one step from pure noise at t = 999."""
        t = torch.full((len(captions),), 999)
        states = embed(self.text, tokens(self.tokenizer, captions))
        return -self.predict(noise, t, states)
