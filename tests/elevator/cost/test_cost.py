"""What a clip takes: counted on shapes, compared with hand formulas, torch's profiler and runs of the sampler."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.profiler import ProfilerActivity, profile

from elevator import ModelError, Plan, Sources, elevate, load_models
from elevator.calls import Calls
from elevator.checkpoints.weights import SHAPES_ONLY
from elevator.cost.allocations import Allocations
from elevator.cost.estimating import PROCESS, Cost, Estimate, estimate, measure
from elevator.cost.shapes import load_shapes, networks, shapes_of
from elevator.models.image import load_image_model
from elevator.models.loading import Reader
from elevator.steps import result
from tests.elevator.golden import FOLDER, Call, models
from tests.parity import T2VS
from tests.true_shapes.random_weights import file_entries, write

pytestmark = pytest.mark.slow

T2V_NAMES = sorted(T2VS)
SIZE: dict[str, Any] = {"frames": 4, "height": 64, "width": 64}
PLAN = Plan(steps=4, refine=(3,), refine_steps=2)
MIB = 2**20


@cache
def shapes(t2v):
    return load_shapes(Sources.of(FOLDER / "t2i", FOLDER / T2VS[t2v]))


@cache
def foreseen(plan=PLAN, t2v="lavie", **changes):
    return estimate(plan, shapes(t2v), **(SIZE | changes))


def tensors(network):
    """Name, shape and type of all that a network holds."""
    held = (*network.named_parameters(), *network.named_buffers())
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in held}


def bytes_of(loaded):
    """Of all tensors of loaded models, each once."""
    held = {
        id(each): each.nbytes for network in networks(loaded) for each in (*network.parameters(), *network.buffers())
    }
    return sum(held.values())


# --- counting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [torch.no_grad, FakeTensorMode], ids=["real", "shapes"])
def test_flops_by_hand(mode):
    with mode():
        linear, x = nn.Linear(24, 40), torch.zeros(2, 5, 24)
        assert measure(lambda: linear(x)).flops == 2 * (2 * 5) * 24 * 40
        convolution, picture = nn.Conv2d(6, 10, 3, padding=1, stride=2), torch.zeros(2, 6, 8, 12)
        assert measure(lambda: convolution(picture)).flops == 2 * 2 * (4 * 6) * 6 * 10 * 3 * 3
        query, key, value = torch.zeros(2, 3, 7, 16), torch.zeros(2, 3, 11, 16), torch.zeros(2, 3, 11, 16)
        attend = nn.functional.scaled_dot_product_attention
        assert measure(lambda: attend(query, key, value)).flops == 2 * (2 * 3) * 7 * 11 * (16 + 16)


def test_attention_on_shapes_holds_no_matrix_of_all_pairs():
    with FakeTensorMode():
        x = torch.zeros(1, 8, 4096, 40)
        cost = measure(lambda: nn.functional.scaled_dot_product_attention(x, x, x))
    assert x.nbytes <= cost.memory < 2 * x.nbytes


@given(st.lists(st.tuples(st.sampled_from(["new", "view", "drop"]), st.integers(0, 9)), max_size=30))
def test_the_peak_is_that_of_the_storages_that_are_held(program):
    held, most = [], 0
    with Allocations() as counted:
        for what, number in program:
            if what == "new":
                held.append(torch.zeros(100 * number + 1))
            elif held and what == "view":
                held.append(held[number % len(held)][:1])
            elif held:
                del held[number % len(held)]
            sizes = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in held}
            most = max(most, sum(sizes.values()))
    assert counted.peak == most


def test_what_was_there_before_does_not_count():
    before = torch.zeros(1000)
    with Allocations() as counted:
        view = before[1:].view(3, 333)
        assert counted.peak == 0
        made = torch.zeros(10).expand(1000, 10)
        del before, view
    assert made.shape == (1000, 10)
    assert counted.peak == 40


def test_the_heap_does_not_shrink():
    """Many small tensors first, a large one after them: pages of the small ones are not given back.

    Large is more than 32 MiB, glibc's DEFAULT_MMAP_THRESHOLD_MAX where addresses have 64 bits.
    """
    small, large = 8 * MIB, 8 * MIB + 1  # float32
    with FakeTensorMode(), Allocations() as counted:
        one = torch.empty(small)
        two = torch.empty(small)
        del one, two
        big = torch.empty(large)
        del big
    assert counted.peak == 2 * 4 * small + 4 * large


@pytest.mark.parametrize(("inside", "outside"), [(4, 64), (64, 4)])
def test_a_convolution_holds_its_weights_and_the_larger_side_twice(inside, outside):
    with FakeTensorMode():
        layer, x = nn.Conv2d(inside, outside, 3, padding=1), torch.empty(1, inside, 32, 32)
        memory = measure(lambda: layer(x)).memory
    assert memory == 4 * 32 * 32 * (outside + 64) + layer.weight.nbytes


@pytest.mark.parametrize("t2v", T2V_NAMES)
@pytest.mark.parametrize("which", ["t2i", "t2v"])
def test_memory_of_a_call_is_what_torch_s_profiler_sees(t2v, which):
    loaded, fake = models(t2v), shapes(t2v)
    width = getattr(loaded, f"{which}_text").encoder.config.hidden_size
    z, text = torch.randn(2, 3, 4, 16, 16), torch.randn(2, 77, width)
    network = getattr(loaded, which)
    with torch.inference_mode():
        network(z, 5, Call.of(text))
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            network(z, 5, Call.of(text))
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        most = max(most, live)
    with fake.mode:
        z, text = torch.empty(z.shape), torch.empty(text.shape)
        memory = measure(lambda: getattr(fake.models, which)(z, 5, Call.of(text))).memory
    assert memory == pytest.approx(most, rel=0.001)


# --- shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t2v", T2V_NAMES)
def test_shapes_are_those_of_the_loaded_models(t2v):
    for made in (shapes(t2v), shapes_of(models(t2v))):
        pairs = list(zip(networks(made.models), networks(models(t2v)), strict=True))
        assert all(tensors(one) == tensors(other) for one, other in pairs)
        assert all(isinstance(each, FakeTensor) for one, _ in pairs for each in one.parameters())
        assert made.weights == bytes_of(models(t2v))


@pytest.mark.parametrize(
    ("t2i", "t2v", "options"),
    [
        pytest.param("sd1_folder", "motion_v3.ckpt", {"dtype": torch.bfloat16}, marks=pytest.mark.long),
        pytest.param("sd2.safetensors", "zeroscope", {"prediction_type": "v_prediction"}, marks=pytest.mark.long),
        ("sd1.ckpt", "lavie.pt", {}),
    ],
)
def test_files_and_folders_of_every_kind_have_shapes(tmp_path, t2i, t2v, options):
    options = dict(options)
    for name in (t2i, t2v):
        write(name.partition(".")[0], tmp_path / name, "tiny")
    dtype = options.pop("dtype", torch.float32)
    sources = Sources.of(tmp_path / t2i, tmp_path / t2v, **options)
    made, loaded = load_shapes(sources, dtype), load_models(sources, dtype=dtype)
    assert [tensors(each) for each in networks(made.models)] == [tensors(each) for each in networks(loaded)]
    assert made.models.t2i_schedule.prediction_type == loaded.t2i_schedule.prediction_type
    assert made.models.size_multiple == loaded.size_multiple
    files = sum(each.stat().st_size for each in tmp_path.rglob("*") if each.is_file())
    assert made.weights < made.loading < made.weights + files


def test_loras_take_the_layers_that_they_change(tmp_path):
    paths = [write(name, tmp_path / f"{name}.safetensors", "tiny") for name in ("sd1", "motion_v3", "lora_kohya")]
    made = load_shapes(Sources.of(*paths[:2], loras=[(paths[2], 0.8)]))
    loaded = load_models(Sources.of(*paths[:2])).with_loras([(paths[2], 0.8)])
    assert made.models.loras == loaded.loras
    assert bytes_of(loaded.bare) < bytes_of(loaded) == made.weights


def test_no_weights_are_read_of_a_file_of_true_size(tmp_path):
    """Its data is a hole of 2 GB, which would take memory if it were read."""
    header, end = {}, 0
    for name, entry in file_entries("sd1_bare").items():
        size = math.prod(entry.shape) * (8 if entry.dtype is torch.int64 else 2)
        kind = "I64" if entry.dtype is torch.int64 else "F16"
        header[name] = {"dtype": kind, "shape": entry.shape, "data_offsets": (end, end + size)}
        end += size
    text = json.dumps(header).encode()
    with (tmp_path / "sd1.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    before, token = _resident(), SHAPES_ONLY.set(FakeTensorMode(allow_non_fake_inputs=True))
    try:
        read = Reader(torch.device("cpu"), torch.float32)
        image = result(load_image_model(read, Sources.of(tmp_path / "sd1.safetensors", "")))
    finally:
        SHAPES_ONLY.reset(token)
    assert sum(each.numel() for each in image.unet.parameters()) == 859_520_964
    assert _resident() - before < 200 * MIB < end


def _resident():
    """Bytes that this process holds in memory, mapped files among them."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_shapes_are_asked_for_no_longer_after_an_error(tmp_path):
    with pytest.raises(ModelError):
        load_shapes(Sources.of(tmp_path / "nothing", FOLDER / "zeroscope"))
    assert SHAPES_ONLY.get() is None


def test_a_folder_without_weights_is_refused(tmp_path):
    folder = write("sd1_folder", tmp_path / "sd1", "tiny")
    next((folder / "unet").glob("*.safetensors")).unlink()
    with pytest.raises(ModelError, match="holds no weights"):
        load_shapes(Sources.of(folder, FOLDER / "zeroscope"))


# --- estimates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("t2v", "settings"),
    [
        pytest.param("zeroscope", {"tile": 64}, marks=pytest.mark.long),
        ("animatediff", {"chunk": 3, "window": 3, "overlap": 2, "video_guidance": 1.0}),
        ("lavie", {"cache_interval": 2}),
    ],
)
def test_an_estimate_s_flops_and_calls_are_those_of_the_clip(t2v, settings):
    plan = replace(PLAN, **settings)
    size = SIZE | ({"height": 128} if "tile" in settings else {})
    said = estimate(plan, shapes(t2v), **size)
    steps = elevate(models(t2v), prompt="a cat", plan=plan, seed=0, **size)
    next(steps)  # the text
    phases: list[str] = []
    clip = measure(lambda: phases.extend(step.phase for step in steps))
    assert said.flops == pytest.approx(clip.flops, rel=0.02)
    assert said.calls.total == len([phase for phase in phases if phase != "decoding"])


@pytest.mark.parametrize(("setting", "part"), [({"chunk": 2}, "painting"), ({"window": 2}, "refining")])
def test_shorter_spans_save_memory(setting, part):
    whole, short = foreseen(), foreseen(replace(PLAN, **setting))
    assert getattr(short, part).memory < 0.7 * getattr(whole, part).memory
    assert short.calls.total > whole.calls.total


def test_what_is_not_run_takes_nothing():
    plain, unrefined = foreseen(), foreseen(replace(PLAN, refine=()), start=3)
    assert unrefined.refining == Cost(0, 0) != plain.refining
    assert unrefined.calls == Calls(1, 0, 0, 0)
    assert unrefined.flops == unrefined.painting.flops + SIZE["frames"] * unrefined.decoding.flops


def test_features_that_are_kept_for_the_next_call_count():
    unet = shapes("lavie").models.t2i.unet
    channels = unet.up_blocks[-1].resnets[-1].in_channels - unet.conv_in.out_channels
    side = shapes("lavie").models.latent_shape(64, 64)[1]
    cached = foreseen(replace(PLAN, cache_interval=3))
    assert cached.kept - foreseen().kept == 4 * 2 * SIZE["frames"] * channels * side**2


@pytest.mark.parametrize(("refine", "levels"), [((4, 2), 3), ((3, 2), 2), ((2,), 1)])
def test_the_longest_path_of_an_inversion_counts(refine, levels):
    latents = SIZE["frames"] * 4 * 8 * 8 * 4  # four channels, an eighth of the size, float32
    assert foreseen(replace(PLAN, refine=refine)).kept - foreseen(replace(PLAN, refine=())).kept == levels * latents


def test_tiles_save_memory_and_more_tokens_take_more():
    tiled, whole = (foreseen(replace(PLAN, refine=(), tile=tile), height=256, chunks=1) for tile in (64, None))
    assert tiled.decoding.memory < 0.5 * whole.decoding.memory
    longer = foreseen(replace(PLAN, refine=()), height=256, chunks=3)
    assert longer.painting.flops > whole.painting.flops


@given(
    weights=st.integers(0, 10**12),
    loading=st.integers(0, 10**12),
    parts=st.tuples(*[st.integers(0, 10**12)] * 3),
    kept=st.integers(0, 10**12),
)
def test_the_peak_is_that_of_loading_or_of_the_greatest_call(weights, loading, parts, kept):
    painting, refining, decoding = (Cost(0, part) for part in parts)
    said = Estimate(weights, loading, painting, refining, decoding, kept, Calls(1, 0, 0, 0), 0)
    assert said.peak == PROCESS + max(loading, weights + max(parts) + kept)
    assert said.fits(said.peak)
    assert not said.fits(said.peak - 1)


def test_an_estimate_is_one_sentence():
    part = Cost(0, 1_000_000_000)
    said = Estimate(2_000_000_000, 0, part, part, part, 0, Calls(50, 43, 116, 32), 12_345_000_000_000, 500_000_000)
    assert (
        str(said) == "This clip takes 3.5 GB of memory, 2.0 GB of them for weights, 241 network calls and 12.3 TFLOP."
    )
