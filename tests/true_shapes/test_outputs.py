"""Files in their makers' layouts give the outputs of their makers' code, recorded as README.md says.

Shapes cannot show that two layers of one shape were exchanged; these outputs do.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from elevator import Sources
from elevator.models.image import load_image_model
from elevator.models.loading import Reader
from elevator.models.video import load_video_model
from elevator.steps import result
from tests.parity import relative_error
from tests.true_shapes.random_weights import write

pytestmark = pytest.mark.slow

RECORDED = load_file(Path(__file__).parent / "outputs.safetensors")
INPUTS = {name: tensor.float() for name, tensor in RECORDED.items() if tensor.dtype == torch.float16}
TOLERANCE = 1e-4
T2IS = ["sd1.safetensors", "sd1.ckpt", "sd2.safetensors", "sd2.ckpt"]
# AnimateLCM's layers have the names of v2's, so here the same values; its file holds no positions.
MOTION_MODULES = ["motion_v2.ckpt", "motion_v2.safetensors", "motion_lcm.ckpt"]


@pytest.fixture(scope="module")
def read():
    return Reader(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Path of a written file; its stem is the family."""
    folder = tmp_path_factory.mktemp("outputs")
    return cache(lambda name: write(Path(name).stem, folder / name, "tiny"))


@pytest.fixture(scope="module", params=T2IS)
def t2i(request, read, written):
    """Its family's name, and its networks."""
    return Path(request.param).stem, result(load_image_model(read, Sources.of(written(request.param), "")))


@torch.inference_mode()
def test_unet(t2i):
    family, model = t2i
    output = model.unet(INPUTS["latents"], 500, INPUTS["text"]).sample
    assert relative_error(output, RECORDED[f"{family}_unet"]) <= TOLERANCE


@torch.inference_mode()
def test_vae(t2i):
    _, model = t2i
    picture = model.vae.decode(INPUTS["small_latents"]).sample
    assert relative_error(picture, RECORDED["vae_decoded"]) <= TOLERANCE
    mean = model.vae.encode(INPUTS["picture"]).latent_dist.mean
    assert relative_error(mean, RECORDED["vae_mean"]) <= TOLERANCE


@torch.inference_mode()
def test_text_encoder(t2i):
    family, model = t2i
    hidden = model.text.encoder(RECORDED["ids"].long()).last_hidden_state
    assert relative_error(hidden, RECORDED[f"{family}_text"]) <= TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize("t2i", ["sd1.safetensors"], indirect=True)
@pytest.mark.parametrize("motion", MOTION_MODULES)
def test_motion_modules(t2i, motion, read, written):
    """One by one. Frames of the same pixels in another order, because diffusers normalises over the clip.

    The original code normalises each frame; for such frames that is the same.
    """
    unet = result(load_video_model(read, Sources.of("", written(motion)), t2i[1])).network.unet
    names = [name for name in RECORDED if ".motion_modules." in name]
    assert len(names) == 21
    for name in names:
        clip = INPUTS[f"clip_{RECORDED[name].shape[1]}"]  # (1, C, F, h, w)
        output = unet.get_submodule(name)(clip.transpose(1, 2)[0], num_frames=clip.shape[2])
        assert relative_error(output[None].transpose(1, 2), RECORDED[name]) <= TOLERANCE, name
