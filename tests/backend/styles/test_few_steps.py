"""Styles and bases whose text-to-image model was distilled to a few steps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from backend.failures import BackendError
from backend.server.requests import resolve
from backend.styles import making
from backend.styles.catalogue import read_catalogue
from elevator.presets import EMBEDDED_GUIDANCE, presets_for
from shared_protocol.messages import Generate
from tests.elevator.checkpoints.written import ldm_checkpoint, write

STYLE = 'title = "T"\nbase = "mine"\npreset = "turbo"\nexample_prompt = "a cat"\n'
BASE = 'title = "B"\nt2i = "t2i"\nt2v = "/m/mm_sd_v15_v2.ckpt"\npresets = "animatediff"\n'
FOUR = ("published", "balanced", "fast", "draft")
REFUSED = "the preset turbo is for text-to-image models that were distilled to a few steps"


@pytest.fixture
def config(home: Path) -> Path:
    for name in ("styles", "bases"):
        (home / "config" / name).mkdir(parents=True)
    return home / "config"


def offered(config: Path, style: str = STYLE, base: str = BASE) -> tuple[str, ...] | str:
    """The presets that a style offers, or why it is skipped."""
    (config / "styles" / "mine.toml").write_text(style, encoding="utf-8")
    (config / "bases" / "mine.toml").write_text(base, encoding="utf-8")
    catalogue = read_catalogue()
    return catalogue.skipped.get("mine") or catalogue.recipes["mine"].style.presets


def t2i_folder(config: Path, scheduler: dict[str, object], unet: dict[str, object]) -> None:
    for part, name, content in (("scheduler", "scheduler_config.json", scheduler), ("unet", "config.json", unet)):
        folder = config / "bases" / "t2i" / part
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))


def test_turbo_is_offered_where_base_or_style_says_that_the_model_is_distilled(config: Path) -> None:
    distilled = 'distilled = "lcm"\n'
    assert offered(config, STYLE, BASE + distilled) == ("turbo",)
    assert offered(config, STYLE + distilled, BASE) == ("turbo",)
    assert read_catalogue().recipes["mine"].sources.distilled == "lcm"
    assert offered(config, STYLE.replace("turbo", "draft")) == FOUR
    other = STYLE.replace("turbo", "draft") + 'distilled = "none"\n'
    assert offered(config, other, BASE + distilled) == FOUR
    assert str(offered(config)).startswith(REFUSED)
    assert "cannot be" in str(offered(config, STYLE, BASE + 'distilled = "magic"\n'))


def test_a_folder_says_it_and_is_read_again_when_it_changes(config: Path) -> None:
    t2i_folder(config, {"_class_name": "LCMScheduler"}, {})
    assert offered(config) == ("turbo",)
    assert read_catalogue().recipes["mine"].plan == presets_for("animatediff")["turbo"].plan
    t2i_folder(config, {"_class_name": "PNDMScheduler"}, {"time_cond_proj_dim": 256})
    assert offered(config) == ("turbo",)
    assert read_catalogue().recipes["mine"].plan.guidance == EMBEDDED_GUIDANCE
    t2i_folder(config, {"_class_name": "PNDMScheduler"}, {})
    assert str(offered(config)).startswith(REFUSED)
    (config / "bases" / "t2i" / "unet" / "config.json").write_text("{")
    assert "is not a readable config" in str(offered(config))


def test_a_request_for_turbo_in_another_style_says_what_to_do() -> None:
    request = Generate(
        job="0" * 32, prompt="a cat", style="plain", preset="turbo", frames=16, width=64, height=64, seed=1
    )
    with pytest.raises(BackendError) as caught:
        resolve(request, read_catalogue(), fake=True)
    assert caught.value.code == "bad_request"
    assert re.search(REFUSED + r".*; choose one of published, balanced, fast, draft, or say", str(caught.value))


def test_a_style_of_files_is_for_few_steps_where_a_file_says_so(config: Path, tmp_path: Path) -> None:
    lora: dict[str, tuple[int, ...]] = {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (8, 768)
    }
    motion: dict[str, tuple[int, ...]] = {
        "down_blocks.0.motion_modules.0.temporal_transformer.pos_encoder.pe": (1, 32, 320)
    }
    motion |= {f"up_blocks.{level}.motion_modules.0.temporal_transformer.norm.weight": (320,) for level in range(4)}
    told = {"modelspec.title": "Hyper-SD15, 4 steps"}
    t2v = write(tmp_path / "mm.safetensors", motion)
    plain = write(tmp_path / "dream.safetensors", ldm_checkpoint())
    fast = write(tmp_path / "dream_fast.safetensors", ldm_checkpoint(), {"modelspec.title": "Dream LCM"})
    distilling = write(tmp_path / "hyper.safetensors", lora, told)
    hinted = write(tmp_path / "lcm-lora-sdv1-5.safetensors", lora)

    def made(*paths: Path) -> tuple[str | None, str | None, str]:
        found = making.from_models(paths, name="made")
        return found.base.distilled, found.style.distilled, found.style.preset

    assert made(plain, t2v) == (None, None, "published")
    assert made(fast, t2v) == ("lcm", None, "turbo")
    assert made(plain, t2v, distilling) == (None, "hyper", "turbo")
    assert made(plain, t2v, hinted) == (None, None, "published"), "a name is a hint and decides nothing"
