"""What a model that was identified is used as, and what it needs besides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from elevator.checkpoints import Family, Identity, Kind, Layout
from elevator.checkpoints.uses import identified, precision_of, presets_of, use_of
from tests.elevator.checkpoints.written import ldm_checkpoint, write


def told(path: Path, kind: Kind, **more: Any) -> Identity:
    """What a file may be said to be."""
    said: dict[str, Any] = {
        "path": path,
        "kind": kind,
        "family": Family.SD1,
        "layout": Layout.LDM,
        "size": 1,
        "title": "x",
    }
    return Identity(**said | more)


@pytest.fixture
def t2i(tmp_path: Path) -> Path:
    """A T2I's folder, of configs alone."""
    for part in ("unet", "vae", "text_encoder"):
        (tmp_path / part).mkdir()
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    return tmp_path


@pytest.mark.parametrize(
    ("more", "schedule"),
    [
        ({}, "stable_diffusion"),
        ({"distilled": "lcm"}, "stable_diffusion, LCM steps"),
        ({"distilled": "turbo"}, "stable_diffusion, trailing"),
        ({"zero_snr": True}, "stable_diffusion, zero terminal SNR"),
        ({"zero_snr": True, "distilled": "hyper"}, "stable_diffusion, zero terminal SNR, trailing"),
    ],
)
def test_a_t2is_schedule_is_told(t2i: Path, more: dict[str, Any], schedule: str) -> None:
    assert use_of(told(t2i, Kind.T2I, **more)).schedule == schedule


def test_a_t2i_needs_a_vae_where_it_has_none(t2i: Path, tmp_path: Path) -> None:
    assert use_of(told(t2i, Kind.T2I)).needs == ("a text-to-video model",)
    (t2i / "vae").rmdir()
    assert use_of(told(t2i, Kind.T2I)).needs == ("a text-to-video model", "a VAE, such as that of SD 1.x")
    whole = write(tmp_path / "whole.safetensors", ldm_checkpoint())
    assert use_of(told(whole, Kind.T2I)).needs == ("a text-to-video model",)


MODULE = "a text-to-image model of SD 1.x, whose layers, text encoder and VAE it uses"
SD = "a text-to-image model of SD 1.x or SD 2.x"


@pytest.mark.parametrize(
    ("kind", "more", "needs", "schedule"),
    [
        (Kind.MOTION_MODULE, {}, (MODULE,), "animatediff"),
        (Kind.MOTION_MODULE, {"distilled": "lightning"}, (MODULE,), "lightning"),
        (
            Kind.MOTION_MODULE,
            {"distilled": "animatelcm"},
            (MODULE, "for good clips its LoRA, AnimateLCM_sd15_t2v_lora.safetensors, as t2v_loras"),
            "lcm",
        ),
        (Kind.T2V, {"layout": Layout.LAVIE}, (SD, "the text encoder of SD 1.4, as t2v_text"), "lavie"),
        (Kind.VAE, {}, (SD,), ""),
        (
            Kind.VAE,
            {"family": Family.UNKNOWN},
            (SD, "to be a VAE of those, and not of SDXL, which looks the same"),
            "",
        ),
        (Kind.MOTION_LORA, {}, ("a motion module",), ""),
        (Kind.LORA, {}, ("a text-to-image model of SD 1.x",), ""),
        (Kind.LORA, {"family": Family.UNKNOWN}, ("a text-to-image model",), ""),
        (Kind.EMBEDDING, {}, ("a text-to-image model of SD 1.x",), ""),
    ],
)
def test_what_each_kind_needs(kind: Kind, more: dict[str, Any], needs: tuple[str, ...], schedule: str) -> None:
    use = use_of(told(Path("x"), kind, **more))
    assert (use.needs, use.schedule, use.problem) == (needs, schedule, "")
    assert use.place


def test_a_t2v_needs_a_text_encoder_of_its_width_where_it_has_none(t2i: Path) -> None:
    folder = told(t2i, Kind.T2V, layout=Layout.FOLDER, width=1024)
    assert (use_of(folder).needs, use_of(folder).schedule) == ((SD,), "its own")
    (t2i / "text_encoder").rmdir()
    assert use_of(folder).needs == (SD, "a text encoder of width 1024, as t2v_text")


@pytest.mark.parametrize(
    ("identity", "place", "problem"),
    [
        (told(Path("x"), Kind.TEXT_ENCODER), "text_encoder/ of a folder that t2v_text names", ""),
        (told(Path("x"), Kind.OTHER, class_name="FluxPipeline"), "", "the class FluxPipeline has no place here"),
        (told(Path("x"), Kind.OTHER), "", "another kind of model has no place here"),
        (told(Path("x"), Kind.UNET), "", "is a UNet of a text-to-image model, not a text-to-image model"),
        (told(Path("x"), Kind.MOTION_MODULE, family=Family.SDXL), "", "motion modules for SDXL are not used here"),
        (told(Path("x"), Kind.MOTION_MODULE, channels=9, family=Family.SDXL), "", "moves a picture that it is given"),
        (told(Path("x"), Kind.LORA, family=Family.SDXL), "loras of a style, --lora", ""),
    ],
)
def test_what_is_not_used_says_why(identity: Identity, place: str, problem: str) -> None:
    use = use_of(identity)
    assert use.place == place
    assert use.problem[: len(problem) or 1] == problem
    if problem:
        assert (use.needs, use.schedule) == ((), "")


def test_presets_are_those_of_the_kind() -> None:
    assert presets_of(Kind.T2V, Layout.LAVIE, None) == "lavie"
    assert presets_of(Kind.T2V, Layout.FOLDER, "animatelcm") == "zeroscope"
    motion = {each: presets_of(Kind.MOTION_MODULE, None, each) for each in ("animatelcm", "lightning", None)}
    assert motion == {"animatelcm": "animatelcm", "lightning": "lightning", None: "animatediff"}


def test_a_type_of_a_hundredth_of_the_numbers_is_told(tmp_path: Path) -> None:
    for count, told_of in ((99, "bfloat16, float32"), (100, "bfloat16")):
        save_file({"a": torch.zeros(count).bfloat16(), "b": torch.zeros(1)}, tmp_path / "x.safetensors")
        assert precision_of(tmp_path / "x.safetensors") == told_of
    assert precision_of(tmp_path / "nowhere") == ""


def test_a_file_that_cannot_be_looked_at_has_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    assert identified(path) == {
        "path": str(path),
        "error": f"{path} cannot be read (File name too long); check that you may open it.",
    }
