"""What is said of models."""

from __future__ import annotations

import pytest

from blender_addon.clip.model_words import fetched, gigabytes, name_of, of_set, pair


@pytest.mark.parametrize(
    ("size", "said"),
    [(5_120_000_000, "5.1 GB"), (334_641_190, "0.3 GB"), (100_000_000, "0.1 GB"), (35_000_000, "35 MB"), (0, "0 MB")],
)
def test_sizes(size: int, said: str) -> None:
    assert gigabytes(size) == said


def test_what_a_set_takes() -> None:
    assert of_set(5_000_000_000, 5_000_000_000, 8) == "5.0 GB, for graphics cards of 8 GB."
    assert of_set(5_000_000_000, 2_000_000_000, 8) == "2.0 GB of 5.0 GB are missing."
    assert of_set(5_000_000_000, 0, 8) == "It is here."


def test_how_far_a_download_is() -> None:
    assert fetched(1_200_000_000, 5_000_000_000, None) == "1.2 GB of 5.0 GB"
    assert fetched(1_200_000_000, 5_000_000_000, 190) == "1.2 GB of 5.0 GB, 3 min left"


@pytest.mark.parametrize(
    ("path", "name"),
    [("/m/dream.safetensors", "dream"), ("C:\\models\\dream.ckpt", "dream"), ("/m/LaVie", "LaVie"), ("x/", "x")],
)
def test_models_are_called_as_their_files(path: str, name: str) -> None:
    assert name_of(path) == name


def test_two_models() -> None:
    assert pair("/m/dream.safetensors", "/m/mm_v2.ckpt") == "dream with mm_v2"
