"""Keys do not leak through `repr`, logs, arguments or the environment, and the allow-list is exact."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path

import psutil
import pytest

from backend.orders import WorkerKeys
from backend.server.door import AllowList
from backend.server.guests import Guests
from backend.server.keys import KeyPair
from tests.backend.harness import Running

KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


def test_a_secret_is_not_shown() -> None:
    keys = KeyPair.fresh()
    assert keys.secret not in repr(keys)
    order = WorkerKeys(endpoint="e", server_key="s" * 40, public="p" * 40, secret=keys.secret, fake=True, device="cpu")
    assert keys.secret not in repr(order)


def test_the_list_is_exact() -> None:
    listed, other = KeyPair.fresh(), KeyPair.fresh()
    door = AllowList([listed.public])
    assert door.callback("clients", listed.public.encode())
    assert not door.callback("clients", other.public.encode())
    assert not door.callback("clients", b"")
    assert not AllowList([]).callback("clients", listed.public.encode())


def test_a_refusal_is_logged_without_the_key(caplog: pytest.LogCaptureFixture) -> None:
    stranger = KeyPair.fresh()
    with caplog.at_level(logging.DEBUG):
        AllowList([]).callback("clients", stranger.public.encode())
    assert "refused" in caplog.text
    assert stranger.public not in caplog.text


def test_files_without_a_key_are_skipped(tmp_path: Path) -> None:
    public = KeyPair.fresh().public
    (tmp_path / "good.pub").write_text(f"  {public}\n", encoding="ascii")
    (tmp_path / "empty.pub").write_text("", encoding="ascii")
    (tmp_path / "short.pub").write_text(public[:39], encoding="ascii")
    (tmp_path / "foreign.pub").write_text("~" * 40, encoding="ascii")
    (tmp_path / "too_large.pub").write_text("#" * 40, encoding="ascii")
    (tmp_path / "folder.pub").mkdir()
    other = KeyPair.fresh().public
    (tmp_path / "other.txt").write_text(other, encoding="ascii")
    guests = Guests("", tmp_path)
    assert guests.principal_of(public) == public
    assert [guests.principal_of(key) for key in (public[:39], "~" * 40, "#" * 40, other)] == [None] * 4


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
@pytest.mark.parametrize(("mode", "fits"), [(0o644, True), (0o755, True), (0o664, False), (0o646, False)])
def test_a_key_that_others_can_write_counts_as_none(mode: int, fits: bool, tmp_path: Path) -> None:
    public = KeyPair.fresh().public
    file = tmp_path / "studio.pub"
    file.write_text(public, encoding="ascii")
    file.chmod(mode)
    assert (Guests("", tmp_path).principal_of(public) == public) == fits


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_arguments_and_environment_of_the_worker_hold_no_key(backend: Running) -> None:
    with backend.client() as client:
        client.end_of(client.submit())
        (worker,) = backend.family
        shown = [*worker.cmdline(), *worker.environ().values(), *psutil.Process(backend.process.pid).cmdline()]
    inherited = set(os.environ.values())
    for text in shown:
        if text not in inherited:
            assert not KEY.fullmatch(text), text
