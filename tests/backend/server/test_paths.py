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
    assert path == tmp_path.resolve() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    assert inside(tmp_path, name).read_bytes() == b""


PIECES = ["..", ".", "/", "\\", "a", "b", ":", " ", "CON", "\0", "link", "out", "loop", "é", ".x"]


@pytest.fixture(scope="module")
def maze(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with links in all directions, beside a secret."""
    top = tmp_path_factory.mktemp("top")
    (top / "secret").write_text("secret")
    folder = top / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "é").write_text("ours")
    (folder / "link").symlink_to("a/b")
    (folder / "out").symlink_to("..")
    (folder / "a" / "out").symlink_to("../../secret")
    (folder / "b").symlink_to(top / "secret")
    (folder / "a" / "link").symlink_to("../a")
    (folder / "loop").symlink_to("loop")
    return folder


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=8))
@example(["out", "/", "secret"])
def test_no_way_out(maze, pieces):
    name = "".join(pieces)
    try:
        path = inside(maze, name)
    except Outside:
        return
    real = Path(os.path.realpath(maze / name))
    assert path == real
    assert real.is_relative_to(maze.resolve())
    assert real != maze.resolve()
    if real.is_file():
        assert real.read_text() == "ours"


@given(st.text(max_size=220))
def test_any_text_is_a_path_inside_or_refused(maze, name):
    try:
        path = inside(maze, name)
    except Outside:
        return
    assert path.is_relative_to(maze.resolve())
    path.exists()  # raises if no file system could have such a name


def test_links(maze):
    assert inside(maze, "link/é").read_text() == "ours"
    assert inside(maze, "a/link/b/é").read_text() == "ours"
    for name in ("out", "out/secret", "out/folder", "b", "a/out", "link/../../secret"):
        with pytest.raises(Outside):
            inside(maze, name)
    with pytest.raises(Outside):
        inside(maze, "out/folder/a/../../secret")
    # Through the folder's neighbour of a longer name: a comparison of letters would let it pass.
    neighbour = maze.with_name("folder2")
    neighbour.mkdir()
    (maze / "near").symlink_to(neighbour)
    with pytest.raises(Outside):
        inside(maze, "near/x")


def test_folder_may_be_a_link_itself(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert inside(tmp_path / "link", "a") == (tmp_path / "real" / "a").resolve()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such root")
def test_root_folder():
    assert inside(Path("/"), "nowhere") == Path("/nowhere")
