"""What is saved against the published call pattern, in arithmetic on the true shapes of the networks."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from elevator.calls import calls_of
from elevator.chain.cross_frame import Call, ClipAttention, Text
from elevator.cost.estimating import measure
from elevator.models.pair import InflatedT2I
from elevator.presets import presets_for
from elevator.spans import chunks
from tests.benchmarks.call_shapes import (
    NETWORKS,
    image_calls,
    image_unet,
    our_counts,
    published_counts,
    total,
    video_calls,
    video_unet,
)

pytestmark = pytest.mark.slow

FRAMES, PIXELS = 8, 512
LIMITS = {
    "zeroscope": {"published": 0.87, "balanced": 0.50, "fast": 0.20, "draft": 0.20, "turbo": 0.04},
    "animatelcm": {"published": 0.87, "balanced": 0.50, "fast": 0.20, "draft": 0.20, "turbo": 0.04},
    "lavie": {"published": 0.89, "balanced": 0.50, "fast": 0.20, "draft": 0.20, "turbo": 0.04},
}


@cache
def image_costs():
    with FakeTensorMode():
        return {name: measure(call).flops for name, call in image_calls(image_unet(), FRAMES, PIXELS)}


@cache
def costs(network):
    with FakeTensorMode(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # diffusers' own imports inside UNetMotionModel
        video = {name: measure(call).flops for name, call in video_calls(video_unet(network), network, FRAMES, PIXELS)}
    return image_costs() | video


@pytest.mark.parametrize("kind", [pytest.param("zeroscope", marks=pytest.mark.long), "animatelcm", "lavie"])
def test_presets_take_their_share_of_the_published_arithmetic(kind):
    presets, flops = presets_for(kind), costs(NETWORKS[kind])
    published = total(published_counts(presets["published"].plan), flops)
    shares = {name: total(our_counts(preset.plan), flops) / published for name, preset in presets.items()}
    assert {name: share <= LIMITS[kind][name] for name, share in shares.items()} == dict.fromkeys(shares, True), shares
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_the_published_sampler_makes_its_known_calls():
    counts = published_counts(presets_for("zeroscope")["published"].plan)
    assert counts == {"published pair": 50 + 43, "published single": 116, "published video": 32}  # 151 in pairs
    counts = published_counts(presets_for("animatelcm")["published"].plan)
    assert counts == {"published pair": 30 + 24, "published single": 67, "published video": 24}
    counts = published_counts(presets_for("lavie")["published"].plan)
    assert counts == {"published pair": 50 + 43, "published single": 164, "published video": 48}


def test_what_one_call_costs():
    flops = image_costs()
    # 0.8 TFLOP (0.4 TMAC) a picture of 512 × 512 is what is commonly counted for this UNet.
    assert flops["published pair"] / (2 * FRAMES) == pytest.approx(0.8e12, rel=0.02)
    assert flops["pair"] == pytest.approx(2 * flops["single"], rel=1e-3)
    assert flops["shallow pair"] < 0.1 * flops["pair"]
    assert flops["pair"] < flops["published pair"]


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("preset", ["published", "balanced", "fast", "draft"])
@pytest.mark.parametrize(("overlap", "limit"), [(2, 1.1), (4, 1.17)])
def test_four_times_the_frames_take_four_times_the_arithmetic(kind, preset, overlap, limit):
    """But for what windows share: 72 or 80 frames of the T2V for 64, which weighs more where the T2I is spared."""
    plan, flops = presets_for(kind)[preset].plan, costs(NETWORKS[kind])
    spans = replace(plan, window=16, overlap=overlap).video_spans(64)
    seen = sum(span.stop - span.start for span in spans) / 16  # clips of 16 frames; attention over time grows less
    image = {name: count for name, count in our_counts(plan).items() if name != "video"}
    whole = 4 * total(image, flops) + seen * calls_of(plan).refining * flops["video"]
    assert whole <= limit * 4 * total(our_counts(plan), flops)


def test_chunks_of_4_take_a_third_of_the_memory_at_most():
    """On shapes; `tests/benchmarks/activations.py` measures it in processes."""
    with FakeTensorMode():
        unet = image_unet()
        unet.set_attn_processor(ClipAttention())
        t2i, text, z = InflatedT2I(unet), Text(torch.zeros(2, 1, 77, 768)), torch.zeros(2, 16, 4, 64, 64)

        def guided(size):
            anchors: dict[Any, Any] = {}
            outputs: list[Any] = []
            for span in chunks(16, size):
                call = Call(text, slice(0, 2), span.frames, anchors)
                outputs.append(t2i(z[:, span.frames], 500, call))
            return torch.cat(outputs, dim=1)

        guided(None)  # makes the text's keys, which stay
        whole, cut = (measure(partial(guided, size)).memory for size in (None, 4))
    assert cut <= whole / 3
