"""The kept list of styles, and their pictures."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import msgspec
import pytest

from blender_addon.machine.style_list import StyleList
from tests.addon.sessions import PNG, STYLE

PICTURE = PNG + b"a picture"
HASH = hashlib.sha256(PICTURE).hexdigest()
SHOWN = msgspec.structs.replace(STYLE, thumbnail=HASH)


def test_kept_list_is_read_again(tmp_path: Path) -> None:
    assert StyleList(tmp_path).keep((STYLE,)) == []
    assert StyleList(tmp_path).read() == (STYLE,)
    assert [path.name for path in tmp_path.iterdir()] == ["styles.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'[{"name": ""}]'])
def test_damaged_list_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "styles.json").write_bytes(content)
    assert StyleList(tmp_path).read() == ()


def test_missing_list_is_as_none(tmp_path: Path) -> None:
    assert StyleList(tmp_path).read() == ()


def test_list_that_cannot_be_kept_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        StyleList(tmp_path / "no such folder").keep((STYLE,))
    assert "was not kept" in caplog.text


def test_pictures_are_asked_for_once(tmp_path: Path) -> None:
    kept = StyleList(tmp_path)
    assert kept.keep((STYLE, SHOWN, SHOWN)) == [HASH]
    assert kept.picture(HASH) is None
    kept.keep_picture(HASH, PICTURE)
    path = StyleList(tmp_path).picture(HASH)
    assert path is not None
    assert path.read_bytes() == PICTURE
    assert kept.keep((SHOWN,)) == []


def test_pictures_that_no_style_has_go(tmp_path: Path) -> None:
    kept = StyleList(tmp_path)
    kept.keep((SHOWN,))
    kept.keep_picture(HASH, PICTURE)
    kept.keep((STYLE,))
    assert kept.picture(HASH) is None
    assert not any((tmp_path / "thumbnails").iterdir())


@pytest.mark.parametrize(
    ("sha256", "data"), [(HASH, PICTURE + b"."), (hashlib.sha256(b"GIF89a").hexdigest(), b"GIF89a")]
)
def test_what_is_no_such_png_is_left_out(tmp_path: Path, sha256: str, data: bytes) -> None:
    kept = StyleList(tmp_path)
    kept.keep_picture(sha256, data)
    assert kept.picture(sha256) is None


def test_a_picture_that_cannot_be_kept_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "thumbnails").write_bytes(b"in the way")
    with caplog.at_level(logging.WARNING):
        StyleList(tmp_path).keep_picture(HASH, PICTURE)
    assert "was not kept" in caplog.text


def test_nothing_is_kept_nowhere() -> None:
    kept = StyleList(None)
    kept.keep_picture(HASH, PICTURE)
    assert (kept.keep((SHOWN,)), kept.read(), kept.picture(HASH)) == ([], (), None)
