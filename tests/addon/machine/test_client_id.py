"""The name under which the backend knows a Blender: kept, and never two Blenders' at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blender_addon.machine import client_id
from blender_addon.machine.client_id import ClientId
from shared_protocol.machine import locks
from tests.addon.blenders import ROOT

OTHER_BLENDER = """
import sys
from pathlib import Path
from blender_addon.machine.client_id import ClientId
held = ClientId(Path(sys.argv[1]))
print(held.value, flush=True)
sys.stdin.read()
"""


def test_it_is_kept_from_one_start_to_the_next(tmp_path: Path) -> None:
    first = ClientId(tmp_path)
    assert re.fullmatch("[0-9a-f]{32}", first.value)
    first.close()
    first.close()
    second = ClientId(tmp_path)
    second.close()
    assert second.value == first.value
    assert not list(tmp_path.glob(".*.part"))


def test_two_blenders_have_two_names_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OTHER_BLENDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = other.stdout.readline().strip()
        ours = ClientId(tmp_path)
        assert ours.value != theirs
        third = ClientId(tmp_path)
        assert third.value not in (ours.value, theirs)
        other.send_signal(signal.SIGKILL)
    again = ClientId(tmp_path)
    assert again.value == theirs
    for each in (ours, third, again):
        each.close()


@pytest.mark.parametrize("damaged", [b"", b"a" * 31, b"A" * 32, b"a" * 33, b"\0" * 32, b"\xff" * 100])
def test_a_damaged_file_is_replaced(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "client_1.id").write_bytes(damaged)
    held = ClientId(tmp_path)
    assert re.fullmatch("[0-9a-f]{32}", held.value)
    assert (tmp_path / "client_1.id").read_bytes() == held.value.encode()
    held.close()


def test_without_a_folder_or_a_free_name_it_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(ClientId(None).value) == 32
    assert len(ClientId(tmp_path / "missing").value) == 32, "a folder that cannot be written is no reason to fail"
    monkeypatch.setattr(client_id, "MOST", 2)
    held = [ClientId(tmp_path) for _ in range(4)]
    assert len({each.value for each in held}) == 4
    assert len(list(tmp_path.glob("*.id"))) == 2
    for each in held:
        each.close()


def test_on_a_disk_without_locks_it_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(_: int) -> bool:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks, "take", refused)
    held = ClientId(tmp_path)  # pytest would warn of a file that stays open
    assert re.fullmatch("[0-9a-f]{32}", held.value)
    assert not list(tmp_path.glob("*.id"))
    assert "Operation not supported" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_its_files_are_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ClientId(tmp_path).close()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"client_1.lock": 0o600, "client_1.id": 0o600}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors as Linux shows them")
def test_it_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    held = [ClientId(tmp_path) for _ in range(3)]
    for each in held:
        each.close()
    assert len(os.listdir("/proc/self/fd")) == before
