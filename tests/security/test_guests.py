"""The list of guests: who is who, seen anew when it changes, and told without a key."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest
import zmq

from backend.failures import BackendError
from backend.server import security
from backend.server.handshake_log import LOGGED_PER_MINUTE
from backend.server.security import CLIENTS, LOCAL, Guests, KeyPair, admit, bind_guarded, start_authenticator, user_of
from tests.backend.harness import until

STRANGER = KeyPair.fresh().public


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "authorized"
    path.mkdir()
    return path


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the list every time."""
    monkeypatch.setattr(security, "LOOK_SECONDS", 0.0)


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
    assert told.count("is revoked") == 2
    assert security.fingerprint(one) in told
    assert one not in told
    assert other not in told


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


@pytest.mark.usefixtures("at_once")
def test_refusals_are_logged_once_and_never_flood(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    guests = Guests("", folder)
    for _ in range(50):
        guests.callback(CLIENTS, STRANGER.encode())
    assert caplog.text.count("refused") == 1
    assert security.fingerprint(STRANGER) in caplog.text
    assert STRANGER not in caplog.text
    for _ in range(500):
        guests.callback(CLIENTS, KeyPair.fresh().public.encode())
    assert caplog.text.count("was refused") == LOGGED_PER_MINUTE
    assert caplog.text.count("Further refusals") == 1


def test_threads_may_ask_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "LOOK_SECONDS", 0.0)
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
        door = start_authenticator(context)
        admit(door, CLIENTS, Guests("", folder))
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
