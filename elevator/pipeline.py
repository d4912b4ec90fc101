"""The sampler with the call conventions of diffusers' video pipelines, such as its `AnimateDiffPipeline`.

pipe = VideoElevatorPipeline.from_pretrained(t2i, t2v, torch_dtype=torch.float16, device="cuda")
pipe.load_lora_weights(path, adapter_name="sketch")
pipe.set_adapters("sketch", 0.8)
frames = pipe("a fox in the snow", generator=torch.Generator().manual_seed(1)).frames[0]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from .errors import LoraError, PlanError, RequestError
from .models.loading import load_models
from .models.pair import Models, factor
from .pixels import Pixels
from .plan import Plan
from .sampler import Step, elevate
from .sources import Sources

NATIVE = 512
"""Height and width of Stable Diffusion 1.x, for T2Is whose config names none, pixels."""
STRENGTH = 0.8
"""How much of a video is made anew where nobody says it, as in diffusers' `AnimateDiffVideoToVideoPipeline`."""

Output = list[list[Image.Image]] | np.ndarray | Tensor
Picture = Image.Image | Pixels
Callback = Callable[["VideoElevatorPipeline", int, int, dict[str, Any]], Any]


@dataclass(frozen=True, eq=False)
class VideoElevatorPipelineOutput:
    """One clip, in the shape of a batch of one, as diffusers' video pipelines return it."""

    frames: Output
    """pil: [[picture of each frame]]; np: (1, F, H, W, 3) float32 in 0…1; pt: (1, F, 3, H, W) float32 in 0…1."""


class VideoElevatorPipeline:
    """A T2I and a T2V under diffusers' names. Like diffusers' pipelines it changes: its LoRAs come and go.

    There is no `to(device)`: weights are read straight to where they run, so name the device in
    `from_pretrained`.
    """

    def __init__(self, models: Models) -> None:
        self.models = models
        self._paths: dict[str, Path] = {}  # of all adapters that are loaded
        self._progress: dict[str, Any] = {}

    @classmethod
    def from_pretrained(
        cls,
        t2i: str | Path,
        t2v: str | Path,
        *,
        torch_dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        offload: bool = False,
        **options: Any,
    ) -> VideoElevatorPipeline:
        """Load a T2I and a T2V from local files or folders; offload as `load_models`
        takes it, options as `Sources.of` does.

        Raises ModelError if a part is missing or broken or the two do not fit each other.
        """
        return cls(load_models(Sources.of(t2i, t2v, **options), device, torch_dtype, offload=offload))

    def set_progress_bar_config(self, **config: Any) -> None:
        """Options of tqdm for the progress bar, such as `disable=True`."""
        self._progress = config

    def load_lora_weights(
        self, path: str | Path, weight_name: str | None = None, adapter_name: str | None = None
    ) -> None:
        """Add a LoRA at weight 1 to the active ones: a file, or a folder with `weight_name` or diffusers' file in it.

        adapter_name: for `set_adapters`; by default `default_0`, `default_1` …
        Raises LoraError if the name is taken or the file does not fit.
        """
        name = f"default_{len(self._paths)}" if adapter_name is None else adapter_name
        if name in self._paths:
            raise LoraError(f"There is an adapter {name} already; choose another adapter_name.")
        file = Path(path) if weight_name is None else Path(path) / weight_name
        self.models = self.models.with_loras([*self._active(), (file, 1.0)])
        self._paths[name] = file

    def set_adapters(
        self, adapter_names: str | Sequence[str], adapter_weights: float | Sequence[float] | None = None
    ) -> None:
        """Use exactly these of the loaded LoRAs, at these weights: one for all, or one each; 1 by default.

        Raises LoraError for a name that is not loaded, or for as many weights as do not fit.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        given = 1.0 if adapter_weights is None else adapter_weights
        weights = [float(given)] * len(names) if isinstance(given, (int, float)) else list(given)
        if len(weights) != len(names):
            raise LoraError(f"There are {len(names)} adapters and {len(weights)} weights; give one weight each.")
        for name in names:
            if name not in self._paths:
                raise LoraError(f"There is no adapter {name}; choose of: {', '.join(self._paths) or 'none loaded'}.")
        paths = [self._paths[name] for name in names]
        self.models = self.models.with_loras(zip(paths, weights, strict=True))

    def unload_lora_weights(self) -> None:
        """Take all LoRAs away."""
        self.models = self.models.with_loras(())
        self._paths.clear()

    def __call__(
        self,
        prompt: str | Mapping[int, str],
        *,
        negative_prompt: str | None = None,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        video_guidance_scale: float | None = None,
        preset: str = "published",
        plan: Plan | None = None,
        generator: torch.Generator | None = None,
        seed: int | None = None,
        video: Sequence[Picture] | Pixels | None = None,
        strength: float | None = None,
        image: Picture | None = None,
        output_type: Literal["pil", "np", "pt"] = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
    ) -> VideoElevatorPipelineOutput | tuple[Output]:
        """Sample a clip.

        prompt: a text, or {frame: text} for one that changes. height, width: pixels, by default the T2I's own.
        num_frames: by default 16, or those of `video`. plan: instead of the preset's. num_inference_steps: the plan
        is rescaled to them, see `with_steps`. guidance_scale, video_guidance_scale: of the T2I and of the T2V.
        generator: its `initial_seed()` is the seed, so that each call with it gives the same clip; without it and
        `seed`, one is drawn from torch's global generator.
        video: frames to start from; strength: how much of them is made anew, 0 … 1, by default `STRENGTH`. image: the
        look of frame 0. Pictures are fitted to the clip's size, what juts out being cut off.
        callback_on_step_end: called as (pipe, number, timestep, {"step": Step}) after each network call; what it
        returns is not used.

        Returns the output object, or a tuple of its fields if return_dict is false. Raises RequestError or PlanError
        if the models cannot sample this, and NumericsError if a network fails.
        """
        if not isinstance(prompt, str | Mapping):
            raise RequestError(f"prompt is a {type(prompt).__name__}; give one text, and call once for each clip.")
        if output_type not in ("pil", "np", "pt"):
            raise RequestError(f"output_type is {output_type!r}; choose pil, np or pt.")
        size = (width or native_size(self.models), height or native_size(self.models))
        wanted = plan or preset_plan(self.models, preset)
        wanted = _adjusted(wanted, num_inference_steps, guidance_scale, video_guidance_scale)
        if num_frames is None:
            num_frames = 16 if video is None else len(video)
        steps = elevate(
            self.models,
            prompt=prompt if isinstance(prompt, str) else "",
            prompts=None if isinstance(prompt, str) else prompt,
            negative_prompt=negative_prompt or "",
            plan=wanted,
            frames=num_frames,
            height=size[1],
            width=size[0],
            seed=_seed(generator, seed),
            init_frames=None if video is None else np.stack([fitted(frame, size) for frame in video[:num_frames]]),
            strength=default_strength(video) if strength is None else strength,
            anchor_frame=None if image is None else fitted(image, size),
        )
        frames = _shaped(self._followed(steps, callback_on_step_end), output_type)
        return VideoElevatorPipelineOutput(frames) if return_dict else (frames,)

    def _followed(self, steps: Iterator[Step], callback: Callback | None) -> Pixels:
        """The frames (F, H, W, 3) of these steps, which a progress bar shows."""
        frames = []
        calls = 0
        with tqdm(**self._progress) as bar:
            for step in steps:
                bar.total = step.total
                bar.update()
                if step.frame is not None:
                    frames.append(step.frame[1])
                if callback is not None and step.timestep is not None:
                    callback(self, calls, step.timestep, {"step": step})
                    calls += 1
        return np.stack(frames)

    def _active(self) -> list[tuple[Path, float]]:
        return [(lora.path, lora.weight) for lora in self.models.loras]


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
        raise PlanError(f"There is no preset {name!r} here; choose one of {', '.join(models.presets)}.") from None


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


def _adjusted(plan: Plan, steps: int | None, guidance: float | None, video_guidance: float | None) -> Plan:
    """The plan with what a call asks for besides. Raises PlanError if that is impossible."""
    if steps is not None:
        plan = with_steps(plan, steps)
    asked = {"guidance": guidance, "video_guidance": video_guidance}
    return plan.changed({name: scale for name, scale in asked.items() if scale is not None})


def fitted(picture: Picture, size: tuple[int, int]) -> Pixels:
    """A picture as (H, W, 3) of `size`, (W, H): scaled so that it covers that, and the middle cut out."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return np.array(ImageOps.fit(image.convert("RGB"), size))  # a copy, because torch wants to be able to write


def _seed(generator: torch.Generator | None, seed: int | None) -> int:
    if generator is not None and seed is not None:
        raise RequestError("Both a generator and a seed are given; leave one of them out.")
    if generator is not None:
        return generator.initial_seed()
    return int(torch.randint(2**31, ())) if seed is None else seed


def _shaped(clip: Pixels, output_type: str) -> Output:
    """(F, H, W, 3) as a batch of one."""
    if output_type == "pil":
        return [[Image.fromarray(frame) for frame in clip]]
    scaled = (clip[None] / 255).astype(np.float32)
    return scaled if output_type == "np" else torch.from_numpy(scaled).permute(0, 1, 4, 2, 3).contiguous()
