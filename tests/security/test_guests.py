"""The list of guests: who is who, seen anew when it changes, and told without a key."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from backend.failures import BackendError
from backend.server import guests as who_may_come
from backend.server import handshake_log
from backend.server.door import CLIENTS, Door, bind_guarded, user_of
from backend.server.guests import LOCAL, Guests
from backend.server.handshake_log import LOGGED_PER_MINUTE
from backend.server.keys import KeyPair, fingerprint, read_public_key
from shared_protocol.client import Lost
from tests.backend.harness import greet, running, until
from tests.security.guests import guest, list_key

STRANGER = KeyPair.fresh().public


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "authorized"
    path.mkdir()
    return path


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the list every time."""
    monkeypatch.setattr(who_may_come, "LOOK_SECONDS", 0.0)


def put(path: Path, key: str) -> None:
    path.write_text(key + "\n", encoding="ascii")
    path.chmod(0o644)


def test_who_is_who(folder: Path, tmp_path: Path) -> None:
    local, listed, named = (KeyPair.fresh().public for _ in range(3))
    put(folder / "studio.pub", listed)
    put(tmp_path / "named.txt", named)
    guests = Guests(local, folder, [tmp_path / "named.txt"])
    assert [guests.principal_of(key) for key in (local, listed, named)] == [LOCAL, listed, named]
    for key in (STRANGER, "", listed.lower(), listed + " ", "local", "\ud800"):
        assert guests.principal_of(key) is None
    assert guests.callback(CLIENTS, listed.encode())
    assert not guests.callback(CLIENTS, STRANGER.encode())
    assert not guests.callback(CLIENTS, b"\xff" * 40)


@pytest.mark.parametrize("content", [None, "", "no key", "a" * 41])
def test_a_file_that_is_named_must_hold_a_key(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "named.pub").write_text(content, encoding="ascii")
    with pytest.raises(BackendError, match=r"Nobody can be let in by the key file .*named\.pub"):
        Guests("", tmp_path, [tmp_path / "named.pub"])


def test_without_a_folder_the_local_pair_is_let_in_alone(tmp_path: Path) -> None:
    guests = Guests("local pair", tmp_path / "missing")
    assert guests.principal_of("local pair") == LOCAL
    assert guests.principal_of(STRANGER) is None


@pytest.mark.usefixtures("at_once")
def test_the_list_may_change(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, other = KeyPair.fresh().public, KeyPair.fresh().public
    guests = Guests("", folder)
    caplog.set_level(logging.INFO)
    assert guests.principal_of(one) is None
    put(folder / "one.pub", one)
    assert guests.principal_of(one) == one
    put(folder / "one.pub", other)
    assert guests.principal_of(one) is None
    assert guests.principal_of(other) == other
    (folder / "one.pub").rename(folder / "one.off")
    assert guests.principal_of(other) is None
    told = caplog.text
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("The key ")]
    came, left = (f"The key {fingerprint(one)} {{}}".format(what) for what in ("may come in.", "is revoked."))
    assert said[:1] == [came]
    assert set(said[1:3]) == {came.replace(fingerprint(one), fingerprint(other)), left}
    assert said[3:] == [left.replace(fingerprint(one), fingerprint(other))]
    assert told.count(f"clients (key {fingerprint(one)})") == 2, "once before it was let in, and once after"
    assert fingerprint(one) in told
    assert one not in told
    assert other not in told


@pytest.mark.usefixtures("at_once")
def test_a_file_that_is_put_there_again_is_complained_of_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    guests = Guests("", folder)
    for times in (1, 2):
        put(folder / "broken.pub", "no key")
        for _ in range(3):
            assert guests.principal_of(STRANGER) is None
        assert caplog.text.count("broken.pub is skipped") == times
        (folder / "broken.pub").unlink()
        assert guests.principal_of(STRANGER) is None


def test_a_change_is_seen_soon(folder: Path) -> None:
    key = KeyPair.fresh().public
    put(folder / "one.pub", key)
    guests = Guests("", folder)
    assert guests.principal_of(key) == key
    (folder / "one.pub").unlink()
    assert until(lambda: guests.principal_of(key) is None, 10)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.usefixtures("at_once")
def test_a_list_that_others_can_write_is_not_believed(folder: Path) -> None:
    key = KeyPair.fresh().public
    put(folder / "one.pub", key)
    guests = Guests("", folder)
    assert guests.principal_of(key) == key
    (folder / "one.pub").chmod(0o666)
    assert guests.principal_of(key) is None


# What may lie there under the name of a key ---------------------------------------------------------------------


def put_bytes(path: Path) -> None:
    path.write_bytes(bytes(range(128, 168)))


def put_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def put_socket(path: Path) -> None:
    import socket

    with closing(socket.socket(socket.AF_UNIX)) as door:
        os.chdir(path.parent)  # the name of a socket is short
        door.bind(path.name)


BROKEN: dict[str, Callable[[Path], Any]] = {
    "nothing": lambda path: path.touch(0o600),
    "bytes": put_bytes,
    "too large numbers": lambda path: put(path, "#" * 40),
    "another alphabet": lambda path: put(path, "~" * 40),
    "folder": lambda path: path.mkdir(),
    "fifo": os.mkfifo,
    "socket": put_socket,
    "link to itself": put_link_to_itself,
    "link to nothing": lambda path: path.symlink_to(path.parent / "nowhere"),
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
}


@pytest.mark.skipif(os.name != "posix", reason="pipes, sockets and devices are POSIX")
@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.timeout(60)
def test_what_is_no_key_costs_nobody_else(
    name: str, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    key, later = KeyPair.fresh().public, KeyPair.fresh().public
    BROKEN[name](folder / "aaa.pub")
    put(folder / "good.pub", key)
    guests = Guests("", folder)
    assert guests.principal_of(key) == key
    put(folder / "later.pub", later)  # the list is read again
    assert guests.principal_of(later) == later
    (folder / "good.pub").unlink()
    assert guests.principal_of(key) is None
    assert caplog.text.count("aaa.pub is skipped") == 1


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")
def test_what_is_no_file_is_not_even_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To open a device may do something, and a pipe's writer would go on."""
    opened: list[object] = []
    os.mkfifo(folder / "aaa.pub")
    (folder / "bbb.pub").symlink_to("/dev/zero")
    put(folder / "good.pub", key := KeyPair.fresh().public)
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *others: opened.append(path) or real(path, *others))
    assert Guests("", folder).principal_of(key) == key
    assert opened == [folder / "good.pub"]


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["too large numbers", "fifo", "endless device"])
def test_a_backend_lets_others_in_beside_what_is_no_key(name: str, home: Path) -> None:
    pair = list_key()
    BROKEN[name](home / "config" / "authorized" / "aaa.pub")
    with running() as backend:
        for _ in range(2):  # the thread that guards the door has outlived it
            with guest(backend.connection, KeyPair.fresh()) as stranger:
                assert isinstance(next(stranger.arrivals()).message, Lost)
            with guest(backend.connection, pair) as client:
                greet(client)
        with backend.client() as client:
            greet(client)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_while_a_file_cannot_be_read_its_key_is_what_it_was(
    number: int, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shortage of descriptors revokes nobody, and keeps nobody else from being revoked."""
    steady, other, new = (KeyPair.fresh().public for _ in range(3))
    put(folder / "steady.pub", steady)
    put(folder / "other.pub", other)
    guests = Guests("", folder)
    assert guests.principal_of(steady) == steady
    read, tried = read_public_key, []

    def refuse(path: Path) -> str:
        if path.name == "steady.pub":
            tried.append(path)
            raise OSError(number, os.strerror(number))
        return read(path)

    monkeypatch.setattr(who_may_come, "read_public_key", refuse)
    put(folder / "other.pub", new)
    for _ in range(3):
        assert [guests.principal_of(key) for key in (steady, other, new)] == [steady, None, new]
    assert len(tried) > 3, "it is tried again each time"
    assert caplog.text.count("steady.pub is skipped") == 1
    monkeypatch.setattr(who_may_come, "read_public_key", read)
    (folder / "steady.pub").unlink()
    assert guests.principal_of(steady) is None


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("number", "stays"), [(errno.EMFILE, True), (errno.EIO, True), (errno.EACCES, False)])
def test_a_folder_that_cannot_be_listed(
    number: int,
    stays: bool,
    folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed, named = KeyPair.fresh().public, KeyPair.fresh().public
    put(folder / "one.pub", listed)
    put(tmp_path / "named.pub", named)
    guests = Guests("", folder, [tmp_path / "named.pub"])
    assert guests.principal_of(listed) == listed

    def refuse(path: Path) -> list[str]:
        raise OSError(number, os.strerror(number))

    for times in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(os, "listdir", refuse)
            for changes in range(3):
                put(tmp_path / "named.pub", named + "\n" * changes)
                assert guests.principal_of(listed) == (listed if stays else None)
                assert guests.principal_of(named) == named
                assert guests.principal_of(STRANGER) is None
        assert guests.principal_of(listed) == listed
        assert caplog.text.count(f"{folder.name} is skipped") == times, "said once, until it has passed"
    (folder / "one.pub").unlink()
    assert guests.principal_of(listed) is None


@pytest.mark.usefixtures("at_once")
def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "authorized").touch()
    guests = Guests("local pair", tmp_path / "authorized")
    assert guests.principal_of("local pair") == LOCAL
    assert guests.principal_of(STRANGER) is None


@pytest.mark.usefixtures("at_once")
def test_refusals_are_logged_once_and_never_flood(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    guests = Guests("", folder)
    for _ in range(50):
        guests.callback(CLIENTS, STRANGER.encode())
    assert caplog.text.count("refused") == 1
    assert fingerprint(STRANGER) in caplog.text
    assert STRANGER not in caplog.text
    for _ in range(500):
        guests.callback(CLIENTS, KeyPair.fresh().public.encode())
    assert caplog.text.count("was refused") == LOGGED_PER_MINUTE
    assert caplog.text.count("Further refusals") == 1


def test_refusals_are_logged_again_in_the_next_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(handshake_log, "time", SimpleNamespace(monotonic=lambda: now[0]))
    warn = handshake_log.StrangerLog()
    logged = [warn("%s was refused.", "Somebody") for _ in range(LOGGED_PER_MINUTE + 2)]
    assert logged == [True] * LOGGED_PER_MINUTE + [False] * 2
    now[0] += 60.0
    assert not warn("Somebody was refused.")
    now[0] += 0.5
    assert warn("Somebody was refused.")
    assert caplog.text.count("was refused") == LOGGED_PER_MINUTE + 1
    assert caplog.text.count("Further refusals") == 1


def test_the_list_is_not_looked_at_for_every_connection(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(who_may_come, "time", SimpleNamespace(monotonic=lambda: now[0]))
    key = KeyPair.fresh().public
    guests = Guests("", folder)
    assert guests.principal_of(key) is None
    put(folder / "one.pub", key)
    now[0] += who_may_come.LOOK_SECONDS / 2
    assert guests.principal_of(key) is None
    now[0] += who_may_come.LOOK_SECONDS
    assert guests.principal_of(key) == key


def test_threads_may_ask_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(who_may_come, "LOOK_SECONDS", 0.0)
    keys = [KeyPair.fresh().public for _ in range(4)]
    put(folder / "steady.pub", keys[0])
    guests = Guests("", folder)
    wrong: list[str] = []

    def ask() -> None:
        for _ in range(300):
            if guests.principal_of(keys[0]) != keys[0] or guests.principal_of(STRANGER) is not None:
                wrong.append("changed")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(60):
        put(folder / "other.pub", keys[1 + number % 3])
    for thread in threads:
        thread.join()
    assert not wrong


def test_frames_know_their_sender(folder: Path) -> None:
    """What the server reads as the sender's key is what the handshake has proven."""
    ours, theirs = KeyPair.fresh(), KeyPair.fresh()
    put(folder / "one.pub", theirs.public)
    with zmq.Context() as context:
        door = Door(context)
        door.admit(CLIENTS, Guests("", folder))
        try:
            with context.socket(zmq.ROUTER) as router, context.socket(zmq.DEALER) as dealer:
                endpoint = bind_guarded(router, ours, CLIENTS)
                dealer.curve_serverkey = ours.public.encode()
                dealer.curve_publickey, dealer.curve_secretkey = theirs.public.encode(), theirs.secret.encode()
                dealer.linger = 0
                dealer.connect(endpoint)
                dealer.send_multipart([b"", b"x" * 100_000])
                assert router.poll(60_000)
                frames = router.recv_multipart(copy=False)
                assert [user_of(frame) for frame in frames] == [theirs.public] * 3
                assert user_of(zmq.Frame(b"made here")) == ""
        finally:
            door.stop()


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16"])
def test_a_key_may_be_stored_as_windows_editors_and_shells_do(folder: Path, encoding: str) -> None:
    """PowerShell's `>` writes UTF-16 with a mark of byte order, Notepad UTF-8 with one."""
    key = KeyPair.fresh().public
    (folder / "a.pub").write_bytes(f"{key}\r\n".encode(encoding))
    assert read_public_key(folder / "a.pub") == key
