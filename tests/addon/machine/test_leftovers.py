"""Clips that nothing shows: which they are, and what is removed of them."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blender_addon.machine.leftovers import OLD_SECONDS, SHOWN_BY, UnreadableBlendError, leftovers, note, tidy

FOX, HARE, CAT = "a-fox-0123abcd", "ein-häse-4567abcd", "a-cat-89ababcd"


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A project's folder of clips with three clips in it."""
    parent = tmp_path / "Größe 影" / "elevator"
    for name in (FOX, HARE, CAT):
        (parent / name).mkdir(parents=True)
        for file in ("frame_0001.png", "frame_0002.png", "clip.json"):
            (parent / name / file).write_bytes(b"12345")
    (parent / "waiting-64x64.png").write_bytes(b"")
    return parent


def _blend(path: Path, *names: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"BLENDER" + bytes(8 << 20) + b"".join(f'"folder":"{name}"'.encode() for name in names))


def _found(parent: Path, *used: str) -> list[str]:
    return [each.path.name for each in leftovers(parent, used)]


def test_what_no_strip_shows_is_found(parent: Path) -> None:
    first, second = leftovers(parent, {FOX})
    assert (first.path.name, second.path.name) == (CAT, HARE)
    assert first.size == 15
    assert _found(parent, FOX, HARE, CAT) == []
    assert _found(parent.with_name("none")) == []


@pytest.mark.parametrize("name", ["other version.blend", "shot.blend1"])
def test_what_another_blend_beside_it_names_is_left(parent: Path, name: str) -> None:
    _blend(parent.with_name(name), HARE)
    assert _found(parent, FOX) == [CAT]


def test_what_a_blend_that_was_saved_elsewhere_names_is_left(parent: Path) -> None:
    there = parent.parent.parent / "there" / "copy.blend"
    _blend(there, HARE)
    note(parent, there)
    note(parent, there)
    assert (parent / SHOWN_BY).read_text(encoding="utf-8").splitlines() == [str(there)]
    assert _found(parent, FOX) == [CAT]
    there.unlink()
    assert _found(parent, FOX) == [CAT, HARE]


@pytest.mark.slow
def test_id_on_the_seam_of_two_reads_is_found(parent: Path) -> None:
    for before in range(12):
        parent.with_name("shot.blend").write_bytes(b"BLENDER".ljust((8 << 20) - before, b"\0") + HARE.encode())
        assert _found(parent, FOX) == [CAT], before


def test_packed_blend_is_read(parent: Path) -> None:
    parent.with_name("old.blend").write_bytes(gzip.compress(b"BLENDER" + HARE.encode()))
    assert _found(parent, FOX) == [CAT]


@pytest.mark.parametrize("content", [b"\x28\xb5\x2f\xfdno", b"\x1f\x8bno"])
def test_nothing_is_removed_where_a_blend_cannot_be_read(parent: Path, content: bytes) -> None:
    parent.with_name("strange.blend").write_bytes(content)
    with pytest.raises(UnreadableBlendError, match=r"strange\.blend cannot be read, and may show clips"):
        leftovers(parent, ())


def test_only_our_files_are_removed(parent: Path) -> None:
    (parent / CAT / "notes.txt").write_text("mine", encoding="utf-8")
    (parent / "my own folder").mkdir()
    (parent / "my own folder" / "frame_0001.png").write_bytes(b"mine")
    for each in leftovers(parent, {FOX}):
        each.remove()
    left = sorted(path.relative_to(parent).as_posix() for path in parent.rglob("*") if path.is_file())
    ours = [f"{FOX}/{name}" for name in ("clip.json", "frame_0001.png", "frame_0002.png")]
    assert left == sorted([*ours, f"{CAT}/notes.txt", "my own folder/frame_0001.png", "waiting-64x64.png"])
    assert not (parent / HARE).exists()


def test_what_killed_processes_have_left_is_tidied(parent: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    empty, dead, alive, young = (
        parent / name
        for name in ("a-dog-0000abcd", f".{FOX}.{ended.pid}.part", f".{HARE}.{os.getpid()}.part", "a-cow-1111abcd")
    )
    for path in (empty, dead, alive, young):
        path.mkdir()
    (dead / "frame_0001.png").write_bytes(b"")
    for path in (empty, dead, alive, parent / FOX):
        os.utime(path, (time.time() - 2 * OLD_SECONDS,) * 2)
    tidy(parent)
    assert not empty.exists()
    assert not dead.exists()
    assert alive.exists(), "somebody writes it"
    assert young.exists(), "another computer may be about to write it"
    assert len(list((parent / FOX).iterdir())) == 3
