"""Of which family a VAE is, where all have the same layers: by metadata, a config beside it, or a name."""

from __future__ import annotations

import json

import pytest

from elevator.checkpoints import Family, identify
from elevator.checkpoints.uses import use_of
from tests.elevator.checkpoints.written import write

LAYERS = {"encoder.down_blocks.0.resnets.0.conv1.weight": (128, 128, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)}
PUBLISHED = {"SD": 0.18215, "SDXL": 0.13025}
"""`scaling_factor` in the configs of both."""


@pytest.mark.parametrize("of", PUBLISHED)
def test_the_scale_of_the_latents_tells_sdxl(tmp_path, of):
    config = {"_class_name": "AutoencoderKL", "latent_channels": 4, "scaling_factor": PUBLISHED[of]}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    file = write(tmp_path / "diffusion_pytorch_model.fp16.safetensors", LAYERS)
    family = Family.SDXL if of == "SDXL" else Family.UNKNOWN
    assert identify(tmp_path).family is identify(file).family is family
    other = write(tmp_path / "kl-f8.safetensors", LAYERS)
    assert identify(other).family is Family.UNKNOWN, "a file of its own has nothing to do with that config"


@pytest.mark.parametrize("name", ["sdxl_vae", "sdXL_v10VAEFix", "SDXL-vae-fp16-fix", "xlVAE_c91"])
def test_a_name_is_a_guess_that_is_said(tmp_path, name):
    identity = identify(write(tmp_path / f"{name}.safetensors", LAYERS))
    assert identity.family is Family.UNKNOWN
    assert any("may be a VAE of SDXL" in note for note in identity.notes)
    assert use_of(identity).place.startswith("vae")


@pytest.mark.parametrize("name", ["vae-ft-mse-840000-ema-pruned", "pixlVae", "kl-f8-anime2", "axle"])
def test_other_names_are_no_guess_and_both_families_are_named(tmp_path, name):
    identity = identify(write(tmp_path / f"{name}.safetensors", LAYERS))
    assert identity.notes == ()
    assert use_of(identity).needs[-1] == "to be a VAE of those, and not of SDXL, which looks the same"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"scaling_factor": "0.13025"}', "\ufeff{}"])
def test_a_config_that_says_nothing_changes_nothing(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert identify(write(tmp_path / "diffusion_pytorch_model.safetensors", LAYERS)).family is Family.UNKNOWN
