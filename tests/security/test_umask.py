"""What one command writes the next one takes, however open or closed the system makes new files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.cli import diagnosis
from backend.installer import doctor
from backend.server.keys import KeyPair, read_pair, read_public_key, server_keys, write_pair
from shared_protocol.machine import places
from tests.backend.harness import run, running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o027, 0o077], ids="{:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_pair_is_what_it_must_be(umask: int, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "studio.key"
    path.parent.mkdir(mode=0o700)
    path.with_suffix(".pub").write_text("an older one, and open")
    path.with_suffix(".pub").chmod(0o666)
    pair = KeyPair.fresh()
    write_pair(path, pair)
    assert read_pair(path) == pair
    assert read_public_key(path.with_suffix(".pub")) == pair.public
    assert mode(path) == 0o600
    assert mode(path.with_suffix(".pub")) == 0o644 & ~umask


def test_a_public_key_that_was_not_written_any_more_is_written_again(umask: int, tmp_path: Path) -> None:
    pair = server_keys(tmp_path)
    (tmp_path / "server.pub").unlink()
    assert server_keys(tmp_path) == pair
    assert read_public_key(tmp_path / "server.pub") == pair.public


def test_all_commands_take_what_the_others_have_written(
    umask: int, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key, a backend that lets it in, a profile, a clip through it, and all is well at the end."""
    monkeypatch.setattr(doctor, "findings", lambda: iter(()))  # install.py's are tested elsewhere
    assert run("key", "studio").returncode == 0
    keys = home / "config" / "keys"
    listed = home / "config" / "authorized" / "studio.pub"
    listed.parent.mkdir(mode=0o700)
    shutil.copy(keys / "studio.pub", listed)
    with running("--bind", "127.0.0.1:0", "--authorize", str(keys / "studio.pub")) as backend:
        endpoint = ["--endpoint", backend.connection.endpoint, "--server-key", str(keys / "server.pub")]
        made = run("profile", "studio", *endpoint)
        assert made.returncode == 0, made.stderr
        clip = run("generate", "a fox", "--profile", "studio", "--frames", "2", "--out", str(tmp_path / "clip"))
        assert clip.returncode == 0, clip.stderr
        assert run("status").returncode == 0
    wrong = [one.what for one in diagnosis.examine() if "others can" in one.what or "not let in" in one.what]
    assert not wrong
    # Once more: locks, logs and the database are there already.
    with running("--bind", "127.0.0.1:0"):
        assert run("status", "--profile", "studio").returncode == 3, "its address was another's"
    assert not [path for path in places.state_folder().iterdir() if mode(path) & 0o077]


def test_a_key_file_that_others_can_write_says_what_mends_it(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "studio.pub"
    file.write_text(KeyPair.fresh().public)
    file.chmod(0o664)
    refused = run("serve", "--fake", "--authorize", str(file))
    assert refused.returncode == 1
    assert f"the key file {file}: others can write it" in refused.stderr
    assert f"chmod go-w {file}" in refused.stderr
    refused = run("profile", "x", "--endpoint", "gpu:1", "--server-key", str(file))
    assert refused.returncode == 2
    assert "chmod go-w" in refused.stderr
    file.chmod(0o644)
    assert "others can write it" not in run("profile", "x", "--endpoint", "gpu:1", "--server-key", str(file)).stderr
