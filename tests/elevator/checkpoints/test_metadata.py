"""Titles, trigger words, families and predictions that files state themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from elevator.checkpoints import Family, identify
from tests.elevator.checkpoints.written import ldm_checkpoint, write

SD1, SD2, SDXL = Family.SD1, Family.SD2, Family.SDXL

METADATA: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "modelspec.title": ({"modelspec.title": "Oil", "ss_output_name": "oil_v2"}, {"title": "Oil"}),
    "output name": ({"ss_output_name": "oil_v2"}, {"title": "oil_v2"}),
    "base model": ({"ss_sd_model_name": "a.ckpt", "ss_base_model_version": "sd_v1"}, {"base_model": "a.ckpt"}),
    "base version": ({"ss_sd_model_name": "None", "ss_base_model_version": "sd_v1"}, {"base_model": "sd_v1"}),
    "v": ({"modelspec.prediction_type": "v"}, {"prediction": "v_prediction"}),
    "epsilon": ({"modelspec.prediction_type": "epsilon"}, {"prediction": "epsilon"}),
    "kohya v": ({"ss_v_parameterization": "True"}, {"prediction": "v_prediction"}),
    "kohya epsilon": ({"ss_v_parameterization": "False"}, {"prediction": "epsilon"}),
    "kohya version v": ({"ss_base_model_version": "sd_v2_v"}, {"prediction": "v_prediction", "family": SD2}),
    "kohya version": ({"ss_base_model_version": "sd_v1"}, {"prediction": "epsilon", "family": SD1}),
    "kohya SDXL": ({"ss_base_model_version": "sdxl_base_v1-0"}, {"family": SDXL}),
    "architecture": ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, {"family": SDXL}),
    "phrase": ({"modelspec.trigger_phrase": "oil, by hand ,"}, {"trigger_words": ("oil", "by hand")}),
    "tags": (
        {
            "ss_tag_frequency": json.dumps(
                {"1_a": {"sea": 2, " oil": 5}, "2_b": {"sea": 4, "a": 1, "b": 1, "c": 1, "d": 1}}
            )
        },
        {"trigger_words": ("sea", "oil", "a", "b", "c")},
    ),
    "no tags": (
        {"ss_tag_frequency": '{"1_a": {"sea": "many", "oil": 1}, "2_b": 7}'},
        {"trigger_words": ("oil", "sea")},
    ),
    "zero terminal SNR": ({"ss_zero_terminal_snr": "True"}, {"zero_snr": True}),
    "some SNR": ({"ss_zero_terminal_snr": "False"}, {"zero_snr": False}),
    "broken tags": ({"ss_tag_frequency": "{"}, {"trigger_words": ()}),
}


@pytest.mark.parametrize("name", METADATA)
def test_what_the_metadata_say(tmp_path, name):
    metadata, expected = METADATA[name]
    identity = identify(write(tmp_path / "x.safetensors", {"lora_unet_a.lora_down.weight": (2, 2)}, metadata))
    assert {key: getattr(identity, key) for key in expected} == expected


def test_layers_count_more_than_metadata(tmp_path):
    path = write(
        tmp_path / "x.safetensors",
        {"lora_unet_attn2_to_k.lora_down.weight": (8, 768)},
        {"ss_base_model_version": "sdxl_base_v1-0"},
    )
    assert identify(path).family is SD1


def test_a_key_can_say_what_a_checkpoint_predicts(tmp_path):
    assert identify(write(tmp_path / "x.safetensors", ldm_checkpoint() | {"v_pred": ()})).prediction == "v_prediction"


def test_a_file_that_fills_in_parts_says_so(tmp_path):
    shapes = ldm_checkpoint() | {"model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3)}
    assert identify(write(tmp_path / "x.safetensors", shapes)).channels == 9
