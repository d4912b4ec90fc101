"""Where models are looked for in a folder that a user names."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.models.layouts import Place, places_of


@pytest.mark.parametrize("inner", ["hub", "ComfyUI"])
def test_what_lies_in_a_tools_folder_by_chance_is_no_tools_own(tmp_path: Path, inner: str) -> None:
    (tmp_path / "models" / "checkpoints").mkdir(parents=True)
    (tmp_path / inner / "models" / "checkpoints").mkdir(parents=True)
    (tmp_path / inner / "models--a--b" / "snapshots" / "1").mkdir(parents=True)
    assert {place.path for place in places_of(tmp_path)} == {tmp_path / "models"}


def test_a_portable_edition_has_the_tool_inside(tmp_path: Path) -> None:
    (tmp_path / "ComfyUI" / "models" / "checkpoints").mkdir(parents=True)
    assert places_of(tmp_path) == [Place(tmp_path / "ComfyUI" / "models", "ComfyUI")]


def test_a_folder_of_no_tool_is_looked_at_itself(tmp_path: Path) -> None:
    assert places_of(tmp_path) == [Place(tmp_path, "")]
