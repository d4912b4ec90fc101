"""The published sampler's way of calling its networks, written plainly from the paper with diffusers' schedulers.

Nothing is saved: the correction runs both prompts, also where its result is thrown away or equals the chain's own;
every frame makes keys and values of the text and of frame 0's tokens. It is what the product's results are compared
with, and what its arithmetic is counted against.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

from elevator.plan import LowPass, Plan


class FirstFrame(AttnProcessor2_0):
    """Self-attention to frame 0 of each part of the batch, the slow way."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        if encoder_hidden_states is None:
            starts = [k - k % self.frames for k in range(len(hidden_states))]
            encoder_hidden_states = hidden_states[starts]
        return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask)


def blur(x0: Tensor, settings: LowPass) -> Tensor:
    """The paper's low-pass with an explicit loop over frequencies; x0 (F, C, h, w)."""
    frames, _, height, width = x0.shape
    spectrum = torch.fft.fftn(x0, dim=(0, 2, 3))

    def units(k: int, n: int) -> float:
        return 2 * (k if k < (n + 1) // 2 else k - n) / n

    for k in range(frames):
        for y in range(height):
            for x in range(width):
                d2 = (
                    (settings.d_s / settings.d_t * units(k, frames)) ** 2 + units(y, height) ** 2 + units(x, width) ** 2
                )
                if settings.method == "gaussian":
                    spectrum[k, :, y, x] *= torch.exp(torch.tensor(-d2 / (2 * settings.d_s**2)))
                else:
                    spectrum[k, :, y, x] *= 1 / (1 + (d2 / settings.d_s**2) ** settings.order)
    return torch.fft.ifftn(spectrum, dim=(0, 2, 3)).real


class Published:
    """Algorithm 1 of the paper, with the correction of its published code."""

    def __init__(
        self,
        t2i: Callable[..., Tensor],
        t2v: Callable[..., Tensor],
        config: dict[str, object],
        text: Tensor,
        video_text: Tensor,
        plan: Plan,
        frames: int,
    ) -> None:
        """t2i(z, t, text) over frames as a batch, t2v(clips, t, text) over (B, C, F, h, w); texts: (2, L, D)."""
        self.t2i, self.t2v, self.plan, self.frames = t2i, t2v, plan, frames
        self.text, self.video_text = text, video_text  # negative, positive
        self.stages: dict[str, Tensor] = {}
        """What a recording holds beside the result, under its names."""
        self.scheduler = DDIMScheduler.from_config(config)
        self.video_scheduler = DDIMScheduler.from_config(config)
        with warnings.catch_warnings():
            self.inverse = DDIMInverseScheduler.from_config(config)
        for scheduler in (self.scheduler, self.video_scheduler, self.inverse):
            scheduler.set_timesteps(plan.steps)

    def image_pair(self, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs for both prompts, each (F, C, h, w)."""
        text = self.text.repeat_interleave(self.frames, dim=0)
        negative, positive = self.t2i(torch.cat([z, z]), t, text).chunk(2)
        return negative, positive

    def video_guided(self, y: Tensor, t: Tensor) -> Tensor:
        clip = y.transpose(0, 1)[None]
        negative, positive = self.t2v(torch.cat([clip, clip]), t, self.video_text)
        return (negative + self.plan.video_guidance * (positive - negative)).transpose(0, 1)

    def invert(self, x0: Tensor, steps: int) -> list[Tensor]:
        path, z = [], x0
        for t in self.inverse.timesteps[:steps]:
            output = self.t2i(z, t, self.text[0].expand(self.frames, -1, -1))
            z = self.inverse.step(output, int(t), z).prev_sample
            path.append(z)
        return path

    @torch.inference_mode()
    def __call__(self, z: Tensor, noises: list[Tensor]) -> Tensor:
        plan, refined = self.plan, 0
        path: list[Tensor] = []
        for i, t in enumerate(self.scheduler.timesteps):
            negative, positive = self.image_pair(z, t)
            step = self.scheduler.step(negative + plan.guidance * (positive - negative), int(t), z)
            z_next, x0 = step.prev_sample, step.pred_original_sample
            if len(path) > 1:
                y = path.pop()
                prompted = self.image_pair(y, t)[1]
                z_next = z_next + path[-1] - self.scheduler.step(prompted, int(t), y).prev_sample
            if plan.steps - i in plan.refine:
                if plan.steps - i != plan.refine[-1]:
                    self.stages[f"lpff_in_{refined}"] = x0.transpose(0, 1)[None]
                    x0 = blur(x0, plan.lowpass)
                    self.stages[f"lpff_out_{refined}"] = x0.transpose(0, 1)[None]
                y = self.video_scheduler.add_noise(x0, noises[refined], t)
                for t_k in self.video_scheduler.timesteps[i : i + plan.refine_steps]:
                    step = self.video_scheduler.step(self.video_guided(y, t_k), int(t_k), y)
                    y, x0 = step.prev_sample, step.pred_original_sample
                path = self.invert(x0, plan.steps - i - 1)
                z = path[-1] if path else x0
                self.stages |= {f"refined_{refined}": x0} | ({f"inverted_{refined}": z} if path else {})
                refined += 1
            else:
                z = z_next
        return z
