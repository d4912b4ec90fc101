"""The sampler with the call conventions of diffusers' video pipelines, such as its `AnimateDiffPipeline`.

pipe = VideoElevatorPipeline.from_pretrained(t2i, t2v, torch_dtype=torch.float16).to("cuda")
pipe.load_lora_weights(path, adapter_name="sketch")
pipe.set_adapters("sketch", 0.8)
frames = pipe("a fox in the snow", generator=torch.Generator().manual_seed(1)).frames[0]

docs/SAMPLER.md lists what of diffusers' pipelines is left out, and what stands in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from .adapters import Adapters
from .defaults import Picture, default_strength, fitted, native_size, preset_plan, with_steps
from .errors import RequestError
from .models.loading import load_models
from .models.pair import Models
from .pixels import Pixels
from .plan import Plan
from .presets import default_of
from .sampler import Step, elevate
from .sources import Sources

TENSORS = ("latents",)
"""What a callback may look at."""

Output: TypeAlias = list[list[Image.Image]] | np.ndarray | Tensor
Prompt: TypeAlias = str | Mapping[int, str]
Callback: TypeAlias = Callable[["VideoElevatorPipeline", int, int, dict[str, Any]], Any]


@dataclass(frozen=True, eq=False)
class VideoElevatorPipelineOutput:
    """A batch of B clips, as diffusers' video pipelines return it."""

    frames: Output
    """pil: [[picture of each frame] of each clip]; np: (B, F, H, W, 3) float32 in 0…1; pt: (B, F, 3, H, W) float32 in
    0…1."""


class VideoElevatorPipeline(Adapters):
    """A T2I and a T2V under diffusers' names. Like diffusers' pipelines it changes: it moves between devices, and its
    LoRAs come and go."""

    def __init__(self, models: Models) -> None:
        super().__init__(models)
        self._progress: dict[str, Any] = {}
        self._tile: int | None = None
        self._interrupt = False

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
        takes it, options as `Sources.of` does. Named here, the device gets the weights straight from the files.

        Raises ModelError if a part is missing or broken or the two do not fit each other.
        """
        return cls(load_models(Sources.of(t2i, t2v, **options), device, torch_dtype, offload=offload))

    # Where and what it is -----------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.models.reading.device

    @property
    def dtype(self) -> torch.dtype:
        """Of its networks but the VAE, which is always float32."""
        return self.models.reading.dtype

    def to(self, *to: str | torch.device | torch.dtype, **named: Any) -> VideoElevatorPipeline:
        """Move to a device, a dtype, or both, in any order or as `device=` and `dtype=`. Returns itself."""
        given = [*to, *(each for each in (named.pop("device", None), named.pop("dtype", None)) if each is not None)]
        if named:
            raise RequestError(f"to() knows no {', '.join(named)}; give a device, a dtype, or both.")
        dtypes = [each for each in given if isinstance(each, torch.dtype)]
        devices = [torch.device(each) for each in given if isinstance(each, str | torch.device)]
        if len(dtypes) > 1 or len(devices) > 1 or len(dtypes) + len(devices) != len(given):
            raise RequestError("to() takes one device, one dtype, or both.")
        self.models = self.models.to(next(iter(devices), None), next(iter(dtypes), None))
        return self

    @property
    def unet(self) -> Any:
        """The T2I's, which paints."""
        return self.models.t2i.unet

    @property
    def video_unet(self) -> Any:
        """The T2V's, which refines the motion."""
        return self.models.t2v.unet

    @property
    def vae(self) -> Any:
        """The T2I's VAE."""
        return self.models.vae

    @property
    def text_encoder(self) -> Any:
        """The T2I's."""
        return self.models.t2i_text.encoder

    @property
    def video_text_encoder(self) -> Any:
        """The T2V's, which may be the T2I's."""
        return self.models.t2v_text.encoder

    @property
    def tokenizer(self) -> Any:
        """The T2I's."""
        return self.models.t2i_text.tokenizer

    @property
    def components(self) -> dict[str, Any]:
        """All of these by their names."""
        names = ("unet", "video_unet", "vae", "text_encoder", "video_text_encoder", "tokenizer")
        return {name: getattr(self, name) for name in names}

    # Memory -------------------------------------------------------------------------------------------------

    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: str | torch.device = "cuda") -> None:
        """Keep weights in the processor's memory, and on the device only the network that runs."""
        self.models = self.models.to(torch.device(device if gpu_id is None else f"cuda:{gpu_id}"), offload=True)

    def enable_vae_tiling(self) -> None:
        """Decode frames in overlapping tiles of the VAE's own size: less memory, and frames that differ slightly."""
        self._tile = int(self.vae.config.sample_size)

    def disable_vae_tiling(self) -> None:
        """Decode frames whole, or as the plan says."""
        self._tile = None

    def enable_vae_slicing(self) -> None:
        """Nothing changes: frames are always decoded one by one."""

    def disable_vae_slicing(self) -> None:
        """Nothing changes: frames are always decoded one by one."""

    # Making clips -------------------------------------------------------------------------------------------

    @property
    def interrupt(self) -> bool:
        """Whether the call that runs makes no further step."""
        return self._interrupt

    def set_progress_bar_config(self, **config: Any) -> None:
        """Options of tqdm for the progress bar, such as `disable=True`."""
        self._progress = config

    def __call__(
        self,
        prompt: Prompt | Sequence[Prompt],
        *,
        negative_prompt: str | Sequence[str] | None = None,
        num_videos_per_prompt: int = 1,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        video_guidance_scale: float | None = None,
        eta: float | None = None,
        preset: str | None = None,
        plan: Plan | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        seed: int | None = None,
        video: Sequence[Picture] | Pixels | None = None,
        strength: float | None = None,
        image: Picture | None = None,
        output_type: Literal["pil", "np", "pt"] = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = TENSORS,
    ) -> VideoElevatorPipelineOutput | tuple[Output]:
        """Sample clips: `num_videos_per_prompt` of each prompt, one after the other.

        prompt: a text, or {frame: text} for one that changes, or several of them. height, width: pixels, by default
        the T2I's own. num_frames: by default 16, or those of `video`. plan: instead of the preset's.
        num_inference_steps: the plan is rescaled to them, see `with_steps`. guidance_scale, video_guidance_scale: of
        the T2I and of the T2V. eta: how much of DDIM's noise is new, 0 … 1.
        generator: each clip's seed is drawn from it, so that the next call with it gives another clip; or one for each
        clip. seed: of the first clip, each further one has the next. Without both, seeds are drawn from torch's
        global generator.
        video: frames to start from; strength: how much of them is made anew, 0 … 1, by default `STRENGTH`. image: the
        look of frame 0. Pictures are fitted to the clip's size, what juts out being cut off.
        callback_on_step_end: called as (pipe, number, timestep, {"step": Step, "latents": …}) after each network call;
        latents are a copy, (1, C, F, h, w), as video pipelines have them. It may set `pipe._interrupt`: then no
        further step is made, the clip is what was predicted so far, and no other follows. Latents that it returns
        are refused if they are others.

        Returns the output object, or a tuple of its fields if return_dict is false. Raises RequestError or PlanError
        if the models cannot sample this, and NumericsError if a network fails.
        """
        if output_type not in ("pil", "np", "pt"):
            raise RequestError(f"output_type is {output_type!r}; choose pil, np or pt.")
        if unknown := set(callback_on_step_end_tensor_inputs) - set(TENSORS):
            raise RequestError(f"A callback gets {', '.join(TENSORS)}, and no {', '.join(sorted(unknown))}.")
        prompts, negatives = _batch(prompt, negative_prompt, num_videos_per_prompt)
        seeds = _seeds(generator, seed, len(prompts))
        size = (width or native_size(self.models), height or native_size(self.models))
        if num_frames is None:
            num_frames = 16 if video is None else len(video)
        asked: dict[str, Any] = {
            "plan": self._plan(plan, preset, num_inference_steps, guidance_scale, video_guidance_scale, eta),
            "frames": num_frames,
            "height": size[1],
            "width": size[0],
            "init_frames": None if video is None else np.stack([fitted(each, size) for each in video[:num_frames]]),
            "strength": default_strength(video) if strength is None else strength,
            "anchor_frame": None if image is None else fitted(image, size),
        }
        follow = _Following(self, callback_on_step_end, "latents" in callback_on_step_end_tensor_inputs)
        clips = []
        self._interrupt = False
        for text, negative, number in zip(prompts, negatives, seeds, strict=True):
            words: dict[str, Any] = {"prompt": text} if isinstance(text, str) else {"prompts": text}
            steps = elevate(self.models, negative_prompt=negative, seed=number, **words, **asked)
            clips.append(self._followed(steps, follow, asked["plan"].tile))
            if self._interrupt:
                break
        frames = _shaped(np.stack(clips), output_type)
        return VideoElevatorPipelineOutput(frames) if return_dict else (frames,)

    def _plan(
        self,
        plan: Plan | None,
        preset: str | None,
        steps: int | None,
        guidance: float | None,
        video_guidance: float | None,
        eta: float | None,
    ) -> Plan:
        """The plan with what a call asks for besides. Raises PlanError if that is impossible."""
        plan = plan or preset_plan(self.models, preset or default_of(self.models.presets))
        if steps is not None:
            plan = with_steps(plan, steps)
        tile = plan.tile if self._tile is None else self._tile
        asked = {"guidance": guidance, "video_guidance": video_guidance, "eta": eta, "tile": tile}
        return plan.changed({name: value for name, value in asked.items() if value is not None})

    def _followed(self, steps: Generator[Step, None, None], follow: _Following, tile: int | None) -> Pixels:
        """The frames (F, H, W, 3) of these steps, which a progress bar shows."""
        frames: list[Pixels] = []
        with closing(steps), tqdm(**self._progress) as bar:
            for step in steps:
                bar.total = step.total
                bar.update()
                if step.frame is not None:
                    frames.append(step.frame[1])
                follow(step)
                if self._interrupt and step.clean is not None:
                    return np.stack([self.models.decode(latents, tile) for latents in step.clean])
        return np.stack(frames)


class _Following:
    """Tells a callback of a clip's steps."""

    def __init__(self, pipe: VideoElevatorPipeline, callback: Callback | None, with_latents: bool) -> None:
        self._pipe, self._callback, self._with_latents = pipe, callback, with_latents
        self._calls = 0

    def __call__(self, step: Step) -> None:
        """Raises RequestError if the callback would have other latents."""
        if step.timestep is None or self._callback is None:
            return
        told: dict[str, Any] = {"step": step}
        if self._with_latents and step.latents is not None:
            told["latents"] = step.latents.transpose(0, 1)[None].clone()
        answer = self._callback(self._pipe, self._calls, step.timestep, told)
        self._calls += 1
        if isinstance(answer, Mapping) and answer.get("latents") is not None and step.latents is not None:
            returned = answer["latents"]
            if not torch.equal(returned, step.latents.transpose(0, 1)[None]):
                raise RequestError("A callback may look at the latents and not change them: two networks share them.")


def _batch(prompt: object, negative: object, each: int) -> tuple[list[Prompt], list[str]]:
    """The prompt and the negative prompt of every clip. Raises RequestError."""
    prompts: list[Any] = list(prompt) if isinstance(prompt, list | tuple) else [prompt]
    for one in prompts:
        if not isinstance(one, str | Mapping):
            raise RequestError(f"prompt is a {type(one).__name__}; give a text, or {{frame: text}}, or a list of them.")
    if not prompts or each < 1:
        raise RequestError("No clip is asked for; give a prompt, and num_videos_per_prompt of 1 or more.")
    negatives: list[Any] = list(negative) if isinstance(negative, list | tuple) else [negative or ""] * len(prompts)
    if len(negatives) != len(prompts):
        raise RequestError(f"There are {len(prompts)} prompts and {len(negatives)} negative ones; give one for each.")
    # Clips of one prompt follow each other, as in diffusers.
    return [one for one in prompts for _ in range(each)], [one for one in negatives for _ in range(each)]


def _seeds(
    generator: torch.Generator | Sequence[torch.Generator] | None, seed: int | None, count: int
) -> Iterator[int]:
    """One for each clip. Raises RequestError."""
    if generator is not None and seed is not None:
        raise RequestError("Both a generator and a seed are given; leave one of them out.")
    if seed is not None:
        return iter(range(seed, seed + count))
    if isinstance(generator, list | tuple):
        if len(generator) != count:
            raise RequestError(f"There are {len(generator)} generators and {count} clips; give one for each, or one.")
        return (_drawn(each) for each in generator)
    return (_drawn(generator) for _ in range(count))  # type: ignore[arg-type]


def _drawn(generator: torch.Generator | None) -> int:
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(2**31, (), generator=generator, device=device))


def _shaped(clips: Pixels, output_type: str) -> Output:
    """(B, F, H, W, 3) as diffusers has it."""
    if output_type == "pil":
        return [[Image.fromarray(frame) for frame in clip] for clip in clips]
    scaled = (clips / 255).astype(np.float32)
    return scaled if output_type == "np" else torch.from_numpy(scaled).permute(0, 1, 4, 2, 3).contiguous()
