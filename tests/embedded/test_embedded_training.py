"""A training in miniature: resumed equals uninterrupted, losses fall, weights load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNet3DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

from elevator.chain.schedule import Schedule, ddim_step, lcm_step
from elevator.embedded.small_world.judge import Judge, load_judge
from elevator.embedded.small_world.pictures import DrawnShapes
from elevator.embedded.small_world.styles import STYLES, washed_out
from elevator.embedded.small_world.world import played_backwards
from elevator.embedded.training.data import Encoded, encoded_clips, encoded_frames
from elevator.embedded.training.distillation import SKIP, TrainableLcm, consistency
from elevator.embedded.training.judge import TrainableJudge, save_judge, true_renders
from elevator.embedded.training.loop import LoopSettings, Trainable, train
from elevator.embedded.training.lora import TrainableLora, load_lora, save_lora
from elevator.embedded.training.models import new_scheduler, new_text_encoder
from elevator.embedded.training.motion import TrainableMotion, new_motion_unet, save_motion
from elevator.embedded.training.optimizer import is_matrix
from elevator.embedded.training.store import Folders, Store, averages
from elevator.embedded.training.t2i import TrainableT2I
from elevator.embedded.training.t2v import TrainableT2V
from elevator.embedded.training.text import direction_gate
from elevator.embedded.training.tokenizer import build_tokenizer
from elevator.embedded.training.vae import TrainableVae, vae_frames

pytestmark = pytest.mark.slow

SHAPES = DrawnShapes()
_UNET = {
    "sample_size": 16,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "cross_attention_dim": 128,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}


def tiny_vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=64,
    )


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def frames() -> Encoded:
    return encoded_frames(tiny_vae(), SHAPES, 32, seed=0)


def tiny_t2i(tokenizer: CLIPTokenizer) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        use_linear_projection=True,
        **_UNET,
    )
    return unet, new_text_encoder(tokenizer)


def trainable_vae(tokenizer: CLIPTokenizer, frames: Encoded) -> Trainable:
    return TrainableVae(tiny_vae(), vae_frames(SHAPES, 24, seed=0), batch=4)


def trainable_decoder(tokenizer: CLIPTokenizer, frames: Encoded) -> Trainable:
    return TrainableVae(tiny_vae(), vae_frames(SHAPES, 24, seed=0), batch=4, decoder_only=True)


def trainable_t2i(tokenizer: CLIPTokenizer, frames: Encoded) -> Trainable:
    return TrainableT2I(*tiny_t2i(tokenizer), tokenizer, tiny_vae(), frames, batch=4)


def trainable_lora(tokenizer: CLIPTokenizer, frames: Encoded) -> Trainable:
    unet, text = tiny_t2i(tokenizer)
    return TrainableLora(unet, text, tokenizer, tiny_vae(), frames, frames, "sketch", batch=4)


def trainable_t2v(tokenizer: CLIPTokenizer, frames: Encoded) -> Trainable:
    torch.manual_seed(2)
    unet = UNet3DConditionModel(
        down_block_types=("DownBlock3D", "CrossAttnDownBlock3D"),
        up_block_types=("CrossAttnUpBlock3D", "UpBlock3D"),
        **_UNET,
    )
    clips = encoded_clips(tiny_vae(), SHAPES, 4, 0, washed_out)
    return TrainableT2V(unet, new_text_encoder(tokenizer), tokenizer, tiny_vae(), clips, batch=2)


def trainable_motion(tokenizer: CLIPTokenizer, frames: Encoded) -> Trainable:
    unet, text = tiny_t2i(tokenizer)
    torch.manual_seed(3)
    clips = encoded_clips(tiny_vae(), SHAPES, 4, 0, washed_out)
    motion = new_motion_unet(unet, tiny_adapter())
    return TrainableMotion(motion, text, tokenizer, tiny_vae(), clips, batch=2)


def tiny_adapter() -> MotionAdapter:
    return MotionAdapter(
        block_out_channels=_UNET["block_out_channels"],
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
    )


def trainable_judge(tokenizer: CLIPTokenizer, frames: Encoded) -> Trainable:
    torch.manual_seed(4)
    return TrainableJudge(Judge(), true_renders(SHAPES, 64, seed=0), batch=8)


TRAINABLES = [
    trainable_vae,
    trainable_decoder,
    trainable_t2i,
    trainable_lora,
    trainable_t2v,
    trainable_motion,
    trainable_judge,
]


@pytest.fixture(autouse=True)
def _no_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    """Previews sample pictures, which takes longer than these trainings."""
    for trainable in (TrainableVae, TrainableT2I, TrainableT2V, TrainableJudge):
        monkeypatch.setattr(trainable, "preview", lambda self, picture: "")


@pytest.mark.parametrize("make", TRAINABLES, ids=lambda make: make.__name__)
def test_a_resumed_run_equals_the_uninterrupted_one(
    make: Callable[[CLIPTokenizer, Encoded], Trainable],
    tokenizer: CLIPTokenizer,
    frames: Encoded,
    tmp_path: Path,
) -> None:
    settings = LoopSettings(rate=1e-3, steps=4, warmup=2)
    whole = train(make(tokenizer, frames), settings, tmp_path / "whole")
    first = train(make(tokenizer, frames), settings, tmp_path / "halves", stop_at=2)
    second = train(make(tokenizer, frames), settings, tmp_path / "halves", resume=True)
    assert first + second == pytest.approx(whole, rel=1e-6)
    one, two = averages(tmp_path / "whole"), averages(tmp_path / "halves")
    assert one
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=1e-5, atol=1e-7)


@pytest.mark.long  # half a minute of training, which changes nothing that is shipped
def test_losses_fall(tokenizer: CLIPTokenizer, frames: Encoded, tmp_path: Path) -> None:
    settings = LoopSettings(rate=4e-3, steps=32, warmup=4)
    for make in (trainable_vae, trainable_t2i, trainable_judge):
        losses = train(make(tokenizer, frames), settings, tmp_path / make.__name__)
        assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8]), make.__name__


@pytest.mark.long  # a minute of training; of the text encoders that are shipped test_embedded_weights says the same
def test_text_learns_to_tell_directions(tokenizer: CLIPTokenizer, frames: Encoded, tmp_path: Path) -> None:
    unet, text = tiny_t2i(tokenizer)
    before = direction_gate(text, tokenizer)
    trainable = TrainableT2I(unet, text, tokenizer, tiny_vae(), frames, batch=8)
    train(trainable, LoopSettings(rate=4e-3, steps=80, warmup=4), tmp_path)
    assert direction_gate(text, tokenizer) > max(0.2, before)


def test_the_distillation_asks_for_what_lcm_steps_make(tokenizer: CLIPTokenizer, frames: Encoded) -> None:
    """Its consistency function is that of the chain's step, and a step of the teacher is DDIM's."""
    schedule = Schedule.from_config(dict(new_scheduler().config)).distilled("lcm")
    generator = torch.Generator().manual_seed(0)
    x, v = (torch.randn(3, 4, 16, 16, generator=generator) for _ in range(2))
    for level in (19, 499, 999):
        ours = consistency(x, v, torch.full((3,), level))
        assert torch.allclose(ours, lcm_step(schedule, v, x, level, -1, lambda: x)[1], atol=1e-5)
    unet, text = tiny_t2i(tokenizer)
    trainable = TrainableLcm(unet, text, tokenizer, tiny_vae(), frames, Judge(), batch=4)
    trained = trainable.trained()
    assert all("lora_" in name for name in trained)
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(0.1)
        t, states = torch.tensor([999, 499, 59]), torch.zeros(6, 24, 128)
        further, clean = trainable._solved(x, t, states)
        unet.disable_adapters()
        output = unet(x, t, states[:3]).sample
    for k, level in enumerate(t.tolist()):
        expected = ddim_step(schedule, output[k], x[k], level, level - SKIP)
        assert torch.allclose(further[k], expected[0], atol=1e-4), "the teacher has no LoRA"
        assert torch.allclose(clean[k], expected[1], atol=1e-4)
    unet.enable_adapters()
    loss, _ = trainable.loss(torch.Generator().manual_seed(1))
    loss.backward()
    assert all(parameter.grad is not None for parameter in trained.values())


def test_a_lora_loads_in_diffusers_and_changes_the_output(
    tokenizer: CLIPTokenizer, frames: Encoded, tmp_path: Path
) -> None:
    trainable = trainable_lora(tokenizer, frames)
    train(trainable, LoopSettings(rate=1e-2, steps=4, warmup=1), tmp_path / "run")
    assert isinstance(trainable, TrainableLora)
    save_lora(trainable.unet, "sketch", tmp_path / "lora")
    with safe_open(tmp_path / "lora" / "pytorch_lora_weights.safetensors", "pt") as file:
        assert file.metadata()["style"] == "sketch"
        assert file.metadata()["base_model"]
        assert all(key.startswith("unet.") for key in file.keys())  # noqa: SIM118
    again = trainable_lora(tokenizer, frames)
    assert isinstance(again, TrainableLora)
    assert load_lora(again.unet, tmp_path / "lora")
    for name, parameter in again.trained().items():
        torch.testing.assert_close(parameter, trainable.trained()[name], rtol=1e-2, atol=1e-3)
    unet, _ = tiny_t2i(tokenizer)
    x, t, states = torch.randn(1, 4, 16, 16), torch.tensor(500), torch.randn(1, 24, 128)
    with torch.no_grad():
        plain = unet.eval()(x, t, states).sample
        unet.load_lora_adapter(
            str(tmp_path / "lora"),
            use_safetensors=True,
            weight_name="pytorch_lora_weights.safetensors",
            prefix="unet",
        )
        styled = unet(x, t, states).sample
        trained = trainable.unet.eval()(x, t, states).sample
    assert not torch.allclose(plain, styled, atol=1e-4)
    torch.testing.assert_close(styled, trained, rtol=5e-2, atol=5e-3)
    assert set(STYLES) >= {"sketch", "pixel_art", "neon"}


def test_the_halves_of_a_pair_differ_by_direction_alone(tokenizer: CLIPTokenizer, frames: Encoded) -> None:
    trainable = trainable_t2v(tokenizer, frames)
    assert isinstance(trainable, TrainableT2V)
    trainable.batch = 4
    scenes, clips, t, noise = trainable._pairs(torch.Generator().manual_seed(0))
    assert [played_backwards(scene) for scene in scenes[:2]] == scenes[2:]
    assert torch.equal(clips[:2].flip(1), clips[2:])
    assert torch.equal(t[:2], t[2:])
    assert torch.equal(noise[:2], noise[2:])
    assert not torch.equal(noise[0], noise[1])


def test_muon_trains_matrices_and_nothing_else(tokenizer: CLIPTokenizer, frames: Encoded) -> None:
    trained = {**trainable_t2i(tokenizer, frames).trained(), **trainable_lora(tokenizer, frames).trained()}
    chosen = {name for name, parameter in trained.items() if is_matrix(name, parameter)}
    assert "unet.down_blocks.0.resnets.0.conv1.weight" in chosen
    assert "text.encoder.layers.0.mlp.fc1.weight" in {name.replace("text_model.", "") for name in chosen}
    for layer in ("bias", "norm", "embedding", "conv_in", "conv_out", "head.", "lora_"):
        assert not [name for name in chosen if layer in name], layer


def test_a_motion_adapter_loads_with_its_lora_and_moves_frames_apart(
    tokenizer: CLIPTokenizer, frames: Encoded, tmp_path: Path
) -> None:
    trainable = trainable_motion(tokenizer, frames)
    assert isinstance(trainable, TrainableMotion)
    before = {name: p.clone() for name, p in trainable.unet.named_parameters()}
    train(trainable, LoopSettings(rate=1e-2, steps=3, warmup=1), tmp_path / "run")
    changed = {name for name, p in trainable.unet.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert all("motion_modules" in name or "lora_" in name for name in changed), "the T2I itself stays"
    save_motion(trainable.unet, tiny_adapter(), tmp_path / "motion")
    unet, _ = tiny_t2i(tokenizer)
    again = new_motion_unet(unet, MotionAdapter.from_pretrained(tmp_path / "motion" / "motion_adapter").float())
    # The whisper that a new adapter starts with is not for a trained one.
    again.load_motion_modules(MotionAdapter.from_pretrained(tmp_path / "motion" / "motion_adapter").float())
    assert load_lora(again, tmp_path / "motion")
    x, t, states = torch.randn(1, 4, 3, 16, 16), torch.tensor(500), torch.randn(3, 24, 128)
    with torch.no_grad():
        expected = trainable.unet.eval()(x, t, states).sample
        torch.testing.assert_close(again.eval()(x, t, states).sample, expected, rtol=5e-2, atol=5e-3)


def test_a_judge_saved_reads_as_before(tokenizer: CLIPTokenizer, frames: Encoded, tmp_path: Path) -> None:
    trainable = trainable_judge(tokenizer, frames)
    assert isinstance(trainable, TrainableJudge)
    save_judge(trainable.judge, tmp_path)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        expected = trainable.judge.features(images)
        torch.testing.assert_close(load_judge(tmp_path).features(images), expected, rtol=2e-2, atol=2e-3)


@pytest.mark.long  # likewise
def test_training_goes_on_from_the_committed_weights_alone(tmp_path: Path) -> None:
    """On another machine there are no checkpoints: the float16 weights are the start, with a fresh optimiser."""
    store = Store(Folders(checkpoints=tmp_path / "none"))
    unet, text = store.t2i()
    data = encoded_frames(store.vae(), SHAPES, 8, seed=0)
    known = TrainableT2I(unet, text, store.tokenizer(), store.vae(), data, batch=4)
    fresh = TrainableT2I(*store.new_t2i(), store.tokenizer(), store.vae(), data, batch=4)
    settings = LoopSettings(rate=1e-3, steps=2, warmup=40)
    losses = train(known, settings, tmp_path / "known", resume=True)
    assert np.mean(losses) < 0.6 * np.mean(train(fresh, settings, tmp_path / "fresh"))
    assert "finished" in (tmp_path / "known" / "train.log").read_text("utf-8")


@pytest.mark.parametrize(
    ("part", "file"),
    [
        ("t2v", "zeroscope/unet/diffusion_pytorch_model.safetensors"),
        ("motion", "animatediff/motion_adapter/diffusion_pytorch_model.safetensors"),
        ("judge", "judge/model.safetensors"),
    ],
)
def test_every_part_takes_up_its_committed_weights(part: str, file: str, tmp_path: Path) -> None:
    store = Store(Folders(checkpoints=tmp_path))
    loaded = getattr(store, part)()
    network = loaded if isinstance(loaded, Judge) else loaded[0]
    own = network.state_dict()
    committed = load_file(store.folders.weights / file)
    assert committed.keys() <= own.keys()
    for name, tensor in committed.items():
        assert torch.equal(own[name], tensor.float()), name
