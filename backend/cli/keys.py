"""`key` and `profile`: how a backend on another machine is reached, and the addresses in options."""

from __future__ import annotations

import argparse
import ipaddress
import re
from pathlib import Path

from shared_protocol import connection
from shared_protocol.connection import Connection

from ..client.failures import cannot_write_home
from ..client.profiles import keys_folder, profile_file
from ..failures import EXIT_DONE
from ..server.keys import KeyPair, check_public_key, read_pair, read_public_key, write_pair
from .failures import CommandFailure

_NAME = re.compile(r"(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])\Z)[a-z0-9][a-z0-9_-]{0,63}")
"""Names of files on every operating system; Windows takes some words for devices."""
_ADDRESS = re.compile(r"(?:tcp://)?(?:\[(?P<six>[^\[\]/]+)\]|(?P<host>[^\[\]/:]+)):(?P<port>[0-9]{1,5})")


def add_key(command: argparse.ArgumentParser) -> None:
    """Options of `key`."""
    command.add_argument("name", type=parse_name, metavar="NAME", help="of the key, such as this machine's")
    command.set_defaults(run=make_key)


def add_profile(command: argparse.ArgumentParser) -> None:
    """Options of `profile`."""
    command.add_argument("name", type=parse_name, metavar="NAME", help="of the profile")
    command.add_argument("--endpoint", type=parse_endpoint, required=True, metavar="ADDRESS", help="tcp://HOST:PORT")
    command.add_argument(
        "--server-key",
        type=parse_public_key,
        required=True,
        metavar="FILE",
        help="the backend's public key, or the file of it, which lies as keys/server.pub in its settings folder",
    )
    command.add_argument("--key", type=parse_name, metavar="NAME", help="of the own key (default: the profile's name)")
    command.set_defaults(run=make_profile)


def make_key(options: argparse.Namespace) -> int:
    """Make a key pair and say where it lies. Raises BackendError."""
    path = keys_folder() / f"{options.name}.key"
    pair = KeyPair.fresh()
    try:
        write_pair(path, pair)
    except FileExistsError:
        raise CommandFailure("key_exists", name=options.name, file=path) from None
    except OSError as error:
        raise cannot_write_home(path.parent, error) from error
    print(f"The public key is {pair.public}")
    print(f'Copy {path.with_suffix(".pub")} to the backend\'s machine, and start it there with "--authorize FILE".')
    return EXIT_DONE


def make_profile(options: argparse.Namespace) -> int:
    """Write a profile. Raises BackendError."""
    name = options.key or options.name
    path = profile_file(options.name)
    try:
        pair = read_pair(keys_folder() / f"{name}.key")
    except FileNotFoundError:
        raise CommandFailure("key_missing", name=name) from None
    except OSError as error:
        raise cannot_write_home(keys_folder(), error) from error
    try:
        connection.write(
            path,
            Connection(
                endpoint=options.endpoint,
                server_key=options.server_key,
                client_public=pair.public,
                client_secret=pair.secret,
                pid=0,
                session="",
                version="",
            ),
        )
    except OSError as error:
        raise cannot_write_home(path.parent, error) from error
    print(f"The profile is {path}")
    return EXIT_DONE


def parse_name(text: str) -> str:
    """The name of a key or profile. For argparse."""
    if _NAME.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f'"{text}" is no name: use small letters, digits, "-" and "_"')
    return text


def parse_bind(text: str) -> str:
    """Where to serve: "0.0.0.0:5555", "*:5555" or "tcp://[::]:5555" → "tcp://…", as ZeroMQ binds it. For argparse.

    Port 0 takes a free one.
    """
    host, port = _host_and_port(text)
    if host == "localhost":
        host = "127.0.0.1"
    if host != "*":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f'"{host}" is no IP address of this machine: write one, or * for all of them, as in *:5555'
            ) from None
    return _tcp(host, port)


def parse_endpoint(text: str) -> str:
    """Where a backend is reached: "gpu:5555" or "tcp://[fe80::1]:5555" → "tcp://…". For argparse."""
    host, port = _host_and_port(text)
    if host in ("*", "0.0.0.0", "::") or port == 0:
        raise argparse.ArgumentTypeError(f'"{text}" names no machine and port: write it like tcp://gpu:5555')
    return _tcp(host, port)


def parse_public_key(text: str) -> str:
    """A public key, or what the file of this name holds. For argparse."""
    try:
        if len(text) == 40 and not Path(text).exists():
            check_public_key(text)
            return text
        return read_public_key(Path(text))
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise argparse.ArgumentTypeError(f'"{text}" is neither a public key nor the file of one: {reason}') from None


def _host_and_port(text: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or int(match["port"]) > 65535:
        raise argparse.ArgumentTypeError(
            f'"{text}" is no address: write it like 192.168.1.20:5555 or [fe80::1]:5555, with a port up to 65535'
        )
    host = match["six"] or match["host"]
    if match["six"] and not _is_ipv6(host):
        raise argparse.ArgumentTypeError(f'"{host}" is no IPv6 address, and brackets are for those alone')
    return host, int(match["port"])


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _tcp(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
