"""A hub on loopback with a few small models, and a catalogue of the user's own that names them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.models.download import Patience
from backend.models.getting import Means
from backend.models.hub import Hub
from shared_protocol.machine import places
from tests.backend.models.hub_server import HubServer, serving

BIG, LORA, UNET, CONFIG = (
    "me/big/big.safetensors",
    "me/big/lora.safetensors",
    "me/video/unet/diffusion_pytorch_model.bin",
    "me/video/unet/config.json",
)
CATALOGUE = """
[models.big]
title = "A big one"
kind = "t2i"
repo = "me/big"
licence = "Free."
files = [{{ path = "big.safetensors", size = {size}, sha256 = "{sha256}" }}]

[models.lora]
title = "A LoRA"
kind = "lora"
repo = "me/big"
licence = "Free."
files = [{{ path = "lora.safetensors", about = 1000 }}]

[models.video]
title = "A folder"
kind = "t2v"
repo = "me/video"
revision = "abc"
licence = "Free."
folder = true
files = [{{ path = "unet/diffusion_pytorch_model.bin", about = 5000 }}, {{ path = "unet/config.json", about = 100 }}]

[sets.pair]
title = "Both"
about = "A pair."
memory_gb = 8
t2i = "big"
t2v = "video"
presets = "zeroscope"
preset = "fast"
example_prompt = "a fox"

[sets.pair_with_lora]
title = "All three"
about = "A pair and a LoRA."
memory_gb = 8
t2i = "big"
t2v = "video"
loras = [{{ model = "lora", weight = 0.5 }}]
presets = "zeroscope"
preset = "fast"
example_prompt = "a fox"
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's own settings for the hub, nor its proxy."""
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The hub, which HF_ENDPOINT names, with its models in the user's catalogue."""
    noise = random.Random(1)
    with serving() as served:
        served.files = {
            BIG: noise.randbytes(3_000_000),
            LORA: noise.randbytes(2_000),
            UNET: noise.randbytes(5_000),
            CONFIG: b'{"_class_name": "UNet3DConditionModel"}',
        }
        served.small = {CONFIG}
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        write_catalogue(served)
        yield served


def write_catalogue(served: HubServer, text: str = CATALOGUE) -> None:
    """The user's own."""
    places.config_folder().mkdir(parents=True, exist_ok=True)
    file = places.config_folder() / "catalogue.toml"
    file.write_text(text.format(size=len(served.files[BIG]), sha256=served.hash_of(BIG)), encoding="utf-8")


@pytest.fixture
def waits() -> list[float]:
    """How long was waited before other tries, seconds."""
    return []


@pytest.fixture
def means(hub: HubServer, waits: list[float]) -> Means:
    """Tries at once, and takes a second's silence for a stall."""
    return Means(hub=Hub(seconds=1.0), patience=Patience(tries=3, sleep=waits.append))
