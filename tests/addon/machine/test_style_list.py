"""The kept list of styles."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from blender_addon.machine import style_list
from tests.addon.sessions import STYLE


def test_kept_list_is_read_again(tmp_path: Path) -> None:
    style_list.keep(tmp_path / "styles.json", (STYLE,))
    assert style_list.read(tmp_path / "styles.json") == (STYLE,)
    assert [path.name for path in tmp_path.iterdir()] == ["styles.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'[{"name": ""}]'])
def test_damaged_list_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "styles.json").write_bytes(content)
    assert style_list.read(tmp_path / "styles.json") == ()


def test_missing_list_is_as_none(tmp_path: Path) -> None:
    assert style_list.read(tmp_path / "styles.json") == ()


def test_list_that_cannot_be_kept_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        style_list.keep(tmp_path / "no such folder" / "styles.json", (STYLE,))
    assert "was not kept" in caplog.text
