"""Keys, profiles and addresses: what they make, and what they refuse with one sentence."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from backend import __main__
from backend.cli import keys, serving
from backend.client import profiles
from backend.failures import BackendError
from backend.server.door import bind_guarded
from backend.server.keys import KeyPair, read_pair, server_keys
from shared_protocol import connection
from shared_protocol.errors import ConnectionFileError

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


def run(*arguments: str) -> int:
    options = __main__._parser().parse_args(arguments)
    return int(options.run(options))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:5555", "tcp://0.0.0.0:5555"),
        ("tcp://192.168.1.20:5555", "tcp://192.168.1.20:5555"),
        ("*:5555", "tcp://*:5555"),
        ("localhost:0", "tcp://127.0.0.1:0"),
        ("[::]:5555", "tcp://[::]:5555"),
        ("tcp://[fe80::1%eth0]:65535", "tcp://[fe80::1%eth0]:65535"),
    ],
)
def test_addresses_to_serve_at(text: str, address: str) -> None:
    assert keys.parse_bind(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "5555", "0.0.0.0", ":5555", "0.0.0.0:", "0.0.0.0:65536", "0.0.0.0:-1", "::1:5555", "[::1]", "[gpu]:5555"),
        *("[1.2.3.4]:5555", "gpu.lan:5555", "ipc:///tmp/x", "inproc://x", "udp://1.2.3.4:5", "1.2.3.4:5555/x"),
        *("1.2.3:5", "tcp://1.2.3.4:5555;tcp://*:6", "eth0;1.2.3.4:5555", "1.2.3.4:\uff15"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        keys.parse_bind(text)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["*:5555", "0.0.0.0:5555", "[::]:5555", "gpu:0", "gpu"])
def test_a_client_needs_a_machine_and_a_port(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        keys.parse_endpoint(text)
    assert keys.parse_endpoint("gpu.lan:5555") == "tcp://gpu.lan:5555"


@pytest.mark.parametrize("text", ["auto", "cpu", "cuda:0,cuda:1", "cpu,cpu"])
def test_one_or_several_devices(text: str) -> None:
    assert serving.devices(text) == text


@pytest.mark.parametrize("text", ["", "cpu,", "auto,cpu", "cpu,auto", "abacus"])
def test_what_are_no_devices(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        serving.devices(text)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "tcp://*:0", "tcp://[::1]:0"])
def test_every_kind_of_address_can_be_bound(address: str) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        try:
            endpoint = bind_guarded(socket, KeyPair.fresh(), "clients", address)
        except zmq.ZMQError:
            assert "[" in address
            assert not Path("/proc/net/if_inet6").exists(), "a machine with IPv6"
            return
        assert endpoint.startswith("tcp://")
        assert not endpoint.endswith(":0")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "Upper", "nul", "com1", "a" * 65, "ä", "x.pub", "a\n"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        keys.parse_name(name)


@pytest.mark.parametrize("name", ["a", "0", "a" * 64, "x-y_9", "nulls", "com", "com10"])
def test_names_that_are_names(name: str) -> None:
    assert keys.parse_name(name) == name


@posix
def test_folders_and_files_that_cannot_be_used_are_said(home: Path) -> None:
    pair = KeyPair.fresh()
    profile = ("profile", "gpu", "--endpoint", "gpu:1", "--server-key", pair.public, "--key", "studio")
    (home / "config" / "keys" / "studio.key").mkdir(parents=True)
    with pytest.raises(BackendError) as caught:
        run(*profile)
    assert caught.value.code == "home_unwritable"
    assert "Is a directory" in caught.value.sentence
    (home / "config" / "keys" / "studio.key").rmdir()
    run("key", "studio")
    (home / "config" / "profiles").write_text("a file in its place")
    with pytest.raises(BackendError) as caught:
        run(*profile)
    assert caught.value.code == "home_unwritable"


def test_a_key_may_also_lie_in_a_file_whose_name_is_as_long(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = KeyPair.fresh()
    assert keys.parse_public_key(pair.public) == pair.public
    monkeypatch.chdir(tmp_path)
    name = f"{'k' * 36}.pub"
    Path(name).write_text(pair.public, encoding="ascii")
    Path(name).chmod(0o600)
    assert keys.parse_public_key(name) == pair.public


@posix
def test_a_key_is_its_owners_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = os.umask(0)
    try:
        assert run("key", "studio") == 0
    finally:
        os.umask(before)
    path = home / "config" / "keys" / "studio.key"
    pair = read_pair(path)
    assert mode(path) == 0o600
    assert path.with_suffix(".pub").read_text(encoding="ascii").strip() == pair.public
    said = capsys.readouterr().out
    assert pair.public in said
    assert pair.secret not in said
    with pytest.raises(BackendError, match="already"):
        run("key", "studio")
    assert read_pair(path) == pair


def test_a_profile_holds_all_that_a_client_needs(home: Path) -> None:
    server = KeyPair.fresh().public
    run("key", "studio")
    run("profile", "gpu", "--endpoint", "gpu.lan:5555", "--server-key", server, "--key", "studio")
    profile = profiles.find_profile("gpu")
    pair = read_pair(home / "config" / "keys" / "studio.key")
    assert (profile.endpoint, profile.server_key, profile.pid) == ("tcp://gpu.lan:5555", server, 0)
    assert (profile.client_public, profile.client_secret) == (pair.public, pair.secret)
    assert mode(profiles.profile_file("gpu")) == 0o600 or os.name != "posix"
    assert connection.read_profile(profiles.profile_file("gpu")) == profile


def test_the_servers_key_may_come_from_a_file(home: Path) -> None:
    pair = server_keys(home / "config" / "keys")
    run("key", "studio")
    run("profile", "studio", "--endpoint", "gpu:5555", "--server-key", str(home / "config" / "keys" / "server.pub"))
    assert profiles.find_profile("studio").server_key == pair.public
    assert server_keys(home / "config" / "keys") == pair, "it lasts"


@pytest.mark.parametrize("first", "-@")
def test_a_key_may_begin_with_any_sign_of_z85(home: Path, first: str) -> None:
    key = first + "0" + KeyPair.fresh().public[2:]
    run("key", "studio")
    run("profile", "studio", "--endpoint", "gpu:5555", "--server-key", key)
    assert profiles.find_profile("studio").server_key == key


@pytest.mark.parametrize("text", ["~" * 40, "#" * 40, "é" * 40, "a" * 39, "no/such/file.pub"])
def test_what_is_no_key_is_refused(home: Path, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="neither a public key nor"):
        keys.parse_public_key(text)


def expose(path: Path) -> None:
    path.chmod(0o640)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:30])


def swap(path: Path) -> None:
    """Another's secret with this public key."""
    path.write_bytes(path.read_bytes().replace(read_pair(path).secret.encode(), KeyPair.fresh().secret.encode()))


@posix
@pytest.mark.parametrize(
    ("harm", "sentence"), [(expose, "Others can read"), (cut, "is damaged"), (swap, "is damaged"), (Path.unlink, None)]
)
def test_a_pair_that_proves_nothing_is_refused(home: Path, harm: Callable[[Path], None], sentence: str | None) -> None:
    run("key", "studio")
    path = home / "config" / "keys" / "studio.key"
    harm(path)
    with pytest.raises(BackendError, match=sentence or 'no key "studio"'):
        run("profile", "gpu", "--endpoint", "gpu:1", "--server-key", KeyPair.fresh().public, "--key", "studio")
    server_keys(path.parent)
    if sentence:
        harm(path.parent / "server.key")
        with pytest.raises(BackendError, match=sentence):
            server_keys(path.parent)


@posix
def test_profiles_that_cannot_be_used(home: Path) -> None:
    with pytest.raises(BackendError, match='There is no profile "gpu"'):
        profiles.find_profile("gpu")
    run("key", "gpu")
    run("profile", "gpu", "--endpoint", "gpu:1", "--server-key", KeyPair.fresh().public)
    path = profiles.profile_file("gpu")
    path.chmod(0o644)
    with pytest.raises(
        BackendError, match=r"Others can read the profile .*gpu\.json\. Make it anew with .* profile gpu"
    ):
        profiles.find_profile("gpu")
    path.chmod(0o600)
    with pytest.raises(ConnectionFileError):
        connection.read(path)  # it is no connection file of a process here
    cut(path)
    with pytest.raises(BackendError, match="damaged"):
        profiles.find_profile("gpu")


def test_a_connection_file_is_no_profile(tmp_path: Path) -> None:
    from tests.protocol.test_connection_file import of_this_process

    connection.write(tmp_path / "connection.json", of_this_process())
    with pytest.raises(ConnectionFileError, match="is no profile"):
        connection.read_profile(tmp_path / "connection.json")
