"""The distinct network calls of a chain on true shapes, how often the published sampler makes them, and how often ours.

Networks of the sizes of Stable Diffusion 1.5, ZeroScope, AnimateDiff and LaVie with random weights; on fake tensors
(`FakeTensorMode`) they take neither memory nor time, and their arithmetic can be counted all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from diffusers import UNet2DConditionModel, UNet3DConditionModel, UNetMotionModel
from torch import Tensor

from elevator.calls import calls_of
from elevator.chain.cross_frame import Call, ClipAttention, DeepFeatures, Text
from elevator.models.lavie import LaVieUNet
from elevator.models.pair import T2V, InflatedT2I
from elevator.plan import Plan
from tests.published import FirstFrame, Published
from tests.true_shapes.configs import CONFIGS

NETWORKS = {"zeroscope": "zeroscope", "lavie": "lavie", "animatelcm": "animatediff"}
"""T2Vs with published settings, and the network of each."""
WIDTHS = {"zeroscope": 1024, "lavie": 768, "animatediff": 768}
_SCHEDULER = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}


def image_unet() -> Any:
    """Stable Diffusion 1.5's."""
    return UNet2DConditionModel(**_config("unet_sd1")).eval().requires_grad_(False)


def video_unet(network: str) -> Any:
    """A T2V's, by its name in WIDTHS."""
    if network == "zeroscope":
        unet: Any = UNet3DConditionModel(**_config("unet_zeroscope"))
    elif network == "lavie":
        unet = LaVieUNet(**_config("unet_sd1"))
    else:
        unet = UNetMotionModel(cross_attention_dim=768)
    return unet.eval().requires_grad_(False)


def _config(name: str) -> dict[str, Any]:
    return {key: value for key, value in CONFIGS[name].items() if key != "_class_name"}


def image_calls(unet: Any, frames: int, pixels: int) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Each kind of call of the T2I by name, to be made before the next is asked for."""
    like = next(unet.parameters())
    z = torch.zeros(2, frames, 4, pixels // 8, pixels // 8).to(like)
    text = torch.zeros(2, 77, unet.config.cross_attention_dim).to(like)
    unet.set_attn_processor(FirstFrame(frames))
    repeated = text.repeat_interleave(frames, dim=0)
    yield "published pair", lambda: unet(z.flatten(0, 1), 500, repeated).sample
    yield "published single", lambda: unet(z[0], 500, repeated[:frames]).sample
    t2i, kept = InflatedT2I(unet), Text(text[:, None])
    unet.set_attn_processor(ClipAttention())
    features = DeepFeatures(), DeepFeatures()

    def call(prompts: int, cached: DeepFeatures | None = None) -> Callable[[], Tensor]:
        told = Call(kept, slice(0, prompts), slice(0, frames), features=cached)
        return lambda: t2i(z[:prompts], 500, told)

    call(2)()  # the text's keys and values are made once a clip
    yield "pair", call(2)
    yield "single", call(1)
    for prompts, name in ((2, "shallow pair"), (1, "shallow single")):
        cached = features[prompts - 1]
        call(prompts, cached)()
        cached.whole = False
        yield name, call(prompts, cached)


def video_calls(unet: Any, network: str, frames: int, pixels: int) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """A guided call of a T2V as the published sampler makes it, then as this one does, then one without guidance."""
    like = next(unet.parameters())
    z = torch.zeros(2, frames, 4, pixels // 8, pixels // 8).to(like)
    text = torch.zeros(2, 77, WIDTHS[network]).to(like)
    repeated = text.repeat_interleave(frames, dim=0) if network == "animatediff" else text
    yield "published video", lambda: unet(z.transpose(1, 2), 500, repeated).sample
    unet.set_attn_processor(ClipAttention(anchored=False))
    t2v, kept = T2V(unet, network == "animatediff"), Text(text[:, None])
    pair, single = (Call(kept, slice(0, prompts), slice(0, frames)) for prompts in (2, 1))
    t2v(z, 500, pair)
    yield "video", lambda: t2v(z, 500, pair)
    yield "single video", lambda: t2v(z[:1], 500, single)


def published_counts(plan: Plan) -> Mapping[str, int]:
    """How often the published sampler makes each call, counted while its plain version runs on nothing."""
    counts: Counter[str] = Counter()

    def image(z: Tensor, t: Tensor, text: Tensor) -> Tensor:
        counts["published pair" if len(z) == 2 else "published single"] += 1
        return torch.zeros_like(z)

    def video(clips: Tensor, t: Tensor, text: Tensor) -> Tensor:
        counts["published video"] += 1
        return torch.zeros_like(clips)

    text = torch.zeros(2, 1, 1)
    z = torch.zeros(1, 4, 2, 2)
    Published(image, video, _SCHEDULER, text, text, plan, 1)(z, [z] * len(plan.refine))
    return counts


def our_counts(plan: Plan) -> Mapping[str, int]:
    """How often the chain makes each call."""
    calls = calls_of(plan)
    single, shallow = calls.correction + calls.inverting, calls.shallow_correction + calls.shallow_inverting
    counts = Counter({"single": single - shallow, "shallow single": shallow})
    image, video = ("pair" if guidance > 1 else "single" for guidance in (plan.guidance, plan.video_guidance))
    counts[image] += calls.painting - calls.shallow_painting
    counts[f"shallow {image}"] += calls.shallow_painting
    counts["video" if video == "pair" else "single video"] += calls.refining
    return counts


def total(counts: Mapping[str, int], costs: Mapping[str, float]) -> float:
    """Σ count · cost."""
    return sum(count * costs[name] for name, count in counts.items() if count)
