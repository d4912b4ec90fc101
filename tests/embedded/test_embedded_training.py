"""A training in miniature: resumed equals uninterrupted, losses fall, weights load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet3DConditionModel
from safetensors import safe_open
from transformers import CLIPTextModel, CLIPTokenizer

from elevator.embedded.data import Encoded, encoded_clips, encoded_frames
from elevator.embedded.loop import LoopSettings, Part, train
from elevator.embedded.lora import LoraPart, load_lora, save_lora
from elevator.embedded.models import new_text_encoder
from elevator.embedded.pictures import DrawnShapes
from elevator.embedded.store import averages
from elevator.embedded.styles import STYLES, washed_out
from elevator.embedded.t2i import T2IPart
from elevator.embedded.t2v import T2VPart
from elevator.embedded.text import direction_gate
from elevator.embedded.tokenizer import build_tokenizer
from elevator.embedded.vae import VaePart, vae_frames
from elevator.embedded.world import played_backwards

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


def vae_part(tokenizer: CLIPTokenizer, frames: Encoded) -> Part:
    return VaePart(tiny_vae(), vae_frames(SHAPES, 24, seed=0), batch=4)


def decoder_part(tokenizer: CLIPTokenizer, frames: Encoded) -> Part:
    return VaePart(tiny_vae(), vae_frames(SHAPES, 24, seed=0), batch=4, decoder_only=True)


def t2i_part(tokenizer: CLIPTokenizer, frames: Encoded) -> Part:
    return T2IPart(*tiny_t2i(tokenizer), tokenizer, tiny_vae(), frames, batch=4)


def lora_part(tokenizer: CLIPTokenizer, frames: Encoded) -> Part:
    unet, text = tiny_t2i(tokenizer)
    return LoraPart(unet, text, tokenizer, tiny_vae(), frames, frames, "sketch", batch=4)


def t2v_part(tokenizer: CLIPTokenizer, frames: Encoded) -> Part:
    torch.manual_seed(2)
    unet = UNet3DConditionModel(
        down_block_types=("DownBlock3D", "CrossAttnDownBlock3D"),
        up_block_types=("CrossAttnUpBlock3D", "UpBlock3D"),
        **_UNET,
    )
    clips = encoded_clips(tiny_vae(), SHAPES, 4, 0, washed_out)
    return T2VPart(unet, new_text_encoder(tokenizer), tokenizer, tiny_vae(), clips, batch=2)


PARTS = [vae_part, decoder_part, t2i_part, lora_part, t2v_part]


@pytest.fixture(autouse=True)
def _no_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    """Previews sample pictures, which takes longer than these trainings."""
    for part in (VaePart, T2IPart, T2VPart):
        monkeypatch.setattr(part, "preview", lambda self, picture: "")


@pytest.mark.parametrize("make", PARTS, ids=lambda make: make.__name__)
def test_a_resumed_run_equals_the_uninterrupted_one(
    make: Callable[[CLIPTokenizer, Encoded], Part],
    tokenizer: CLIPTokenizer,
    frames: Encoded,
    tmp_path: Path,
) -> None:
    settings = LoopSettings(rate=1e-3, steps=4, warmup=2)
    whole = train(make(tokenizer, frames), settings, tmp_path / "whole")
    first = train(make(tokenizer, frames), settings, tmp_path / "parts", stop_at=2)
    second = train(make(tokenizer, frames), settings, tmp_path / "parts", resume=True)
    assert first + second == pytest.approx(whole, rel=1e-6)
    one, two = averages(tmp_path / "whole"), averages(tmp_path / "parts")
    assert one
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=1e-5, atol=1e-7)


def test_losses_fall(tokenizer: CLIPTokenizer, frames: Encoded, tmp_path: Path) -> None:
    settings = LoopSettings(rate=4e-3, steps=32, warmup=4)
    for make in (vae_part, t2i_part):
        losses = train(make(tokenizer, frames), settings, tmp_path / make.__name__)
        assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8]), make.__name__


def test_text_learns_to_tell_directions(tokenizer: CLIPTokenizer, frames: Encoded, tmp_path: Path) -> None:
    unet, text = tiny_t2i(tokenizer)
    before = direction_gate(text, tokenizer)
    part = T2IPart(unet, text, tokenizer, tiny_vae(), frames, batch=8)
    train(part, LoopSettings(rate=4e-3, steps=30, warmup=4), tmp_path)
    assert direction_gate(text, tokenizer) > max(0.2, before)


def test_a_lora_loads_in_diffusers_and_changes_the_output(
    tokenizer: CLIPTokenizer, frames: Encoded, tmp_path: Path
) -> None:
    part = lora_part(tokenizer, frames)
    train(part, LoopSettings(rate=1e-2, steps=4, warmup=1), tmp_path / "run")
    assert isinstance(part, LoraPart)
    save_lora(part.unet, "sketch", tmp_path / "lora")
    with safe_open(tmp_path / "lora" / "pytorch_lora_weights.safetensors", "pt") as file:
        assert file.metadata()["style"] == "sketch"
        assert file.metadata()["base_model"]
        assert all(key.startswith("unet.") for key in file.keys())  # noqa: SIM118
    again = lora_part(tokenizer, frames)
    assert isinstance(again, LoraPart)
    assert load_lora(again.unet, tmp_path / "lora")
    for name, parameter in again.trained().items():
        torch.testing.assert_close(parameter, part.trained()[name], rtol=1e-2, atol=1e-3)
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
        trained = part.unet.eval()(x, t, states).sample
    assert not torch.allclose(plain, styled, atol=1e-4)
    torch.testing.assert_close(styled, trained, rtol=5e-2, atol=5e-3)
    assert set(STYLES) >= {"sketch", "pixel_art"}


def test_the_halves_of_a_pair_differ_by_direction_alone(tokenizer: CLIPTokenizer, frames: Encoded) -> None:
    part = t2v_part(tokenizer, frames)
    assert isinstance(part, T2VPart)
    part.batch = 4
    scenes, clips, t, noise = part._pairs(torch.Generator().manual_seed(0))
    assert [played_backwards(scene) for scene in scenes[:2]] == scenes[2:]
    assert torch.equal(clips[:2].flip(1), clips[2:])
    assert torch.equal(t[:2], t[2:])
    assert torch.equal(noise[:2], noise[2:])
    assert not torch.equal(noise[0], noise[1])
