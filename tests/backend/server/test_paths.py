"""Names from clients never lead out of their folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend.server.paths import Outside, inside

REFUSED = [
    "",
    ".",
    "..",
    "../secret",
    "a/../../secret",
    "a/..",
    "a/./b",
    "a//b",
    "a/",
    "/",
    "/etc/passwd",
    "//host/share",
    "\\\\host\\share",
    "..\\secret",
    "a\\b",
    "C:",
    "C:/x",
    "c:x",
    "file:stream",
    "a\0b",
    "a\nb",
    "a\x7f",
    "a\x85",
    "\ud800",
    "a.",
    "a ",
    ".. ",
    "... ",
    "a./b",
    " ",
    "CON",
    "con",
    "Nul.txt",
    "nul.tar.gz",
    "AUX .safetensors",
    "prn",
    "COM1",
    "com9.png",
    "LPT1",
    "lpt¹",
    "COM0",
    "CONIN$",
    "a/con/b",
    "x" * 201,
    "字" * 100,  # 300 bytes: no file system takes it
]
TAKEN = [
    "a",
    "a.safetensors",
    "folder/style.safetensors",
    ".hidden",
    "..a",
    "a..b",
    "été/字.png",
    "console",
    "com10",
    "COM",
    "null",
    "a con",
    "lpt.x",
    "-rf",
    "~",
    "$HOME",
    "%2e%2e",
    "x" * 200,
]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path, name):
    with pytest.raises(Outside, match=r"^[A-Z].*\.$"):
        inside(tmp_path, name)


@pytest.mark.parametrize("name", TAKEN)
def test_taken(tmp_path, name):
    path = inside(tmp_path, name)
    assert path == tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    assert inside(tmp_path, name).read_bytes() == b""


PIECES = ["..", ".", "/", "\\", "a", "b", ":", " ", "CON", "\0", "é", ".x"]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=8))
@example(["a", "/", "..", "/", "..", "/", "b"])
def test_no_way_out(pieces):
    """Counted by names alone, as the system does where there is no link."""
    folder = Path(os.path.abspath("folder"))
    try:
        path = inside(folder, "".join(pieces))
    except Outside:
        return
    assert Path(os.path.normpath(path)).is_relative_to(folder)
    assert Path(os.path.normpath(path)) != folder


@given(st.text(max_size=220))
def test_any_text_is_a_path_inside_or_refused(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()
    try:
        path = inside(folder, name)
    except Outside:
        return
    assert path.is_relative_to(folder)
    path.exists()  # raises if no file system could have such a name


def test_links_are_the_owners_and_are_followed(tmp_path):
    """No client can make one. What leads out of the folder by its own parts is refused, also behind a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "ink").write_text("ours")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert inside(folder, "link/ink").read_text() == "ours"
    for name in ("link/../secret", "link/..", "link/./ink"):
        with pytest.raises(Outside):
            inside(folder, name)


def test_folder_may_be_a_link_itself(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    inside(tmp_path / "link", "a").write_text("x")
    assert (tmp_path / "real" / "a").read_text() == "x"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such root")
def test_root_folder():
    assert inside(Path("/"), "nowhere") == Path("/nowhere")
