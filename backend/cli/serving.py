"""`serve`: the wiring of the server, and the options that a backend is started with."""

from __future__ import annotations

import argparse
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from elevator.cli import values
from elevator.cli.shared import add
from shared_protocol import connection
from shared_protocol.errors import ConnectionFileError
from shared_protocol.machine import locks, places

from .. import logs
from ..client.failures import cannot_write_home
from ..failures import EXIT_DONE, BackendError
from ..serve_options import (
    GRACE_SECONDS,
    GUEST_BYTES,
    IDLE_SECONDS,
    KEPT_BYTES,
    KEPT_RESULTS,
    SILENCE_SECONDS,
    ServeOptions,
)
from ..server.keys import check_disk
from ..server.only_one import OnlyOne, only_one
from .keys import parse_bind
from .output import warn

log = logging.getLogger(__name__)

TURN_SECONDS = 1.0
"""How often `--wait` looks whether the other backend has ended."""


def add_serve(command: argparse.ArgumentParser) -> None:
    """Its options."""
    add_backend_options(command)
    command.add_argument("--stay", action="store_true", help="do not end when nobody is connected")
    command.add_argument(
        "--wait", action="store_true", help="if a backend runs already, begin when it has ended, instead of leaving"
    )
    add_serve_options(command)
    command.set_defaults(run=serve)


def serve(options: argparse.Namespace) -> int:
    """Serve clients until told to stop. Raises BackendError, whose sentence stands in the log, too."""
    served = ServeOptions(
        fake=options.fake,
        stay=options.stay,
        grace=options.grace,
        device=options.device,
        idle=options.idle,
        silence=options.silence,
        memory_budget=int(options.model_memory * 1e9),
        kept_results=options.keep,
        kept_bytes=int(options.keep_gb * 1e9),
        guest_bytes=int(options.guest_gb * 1e9),
        log_prompts=options.log_prompts,
        bind=options.bind or "",
        authorize=tuple(options.authorize),
    )
    try:
        logs.start(places.log_file())
        check_disk(places.state_folder())
    except OSError as error:
        raise cannot_write_home(places.state_folder(), error) from error
    try:
        with _turn(wait=options.wait) as held:
            if held.alone:
                _serve(served, held)
    except BackendError as error:
        log.error("%s", error)
        raise
    except OSError as error:
        failure = cannot_write_home(places.state_folder(), error)
        log.error("%s", failure)
        raise failure from error
    return EXIT_DONE


@contextmanager
def _turn(*, wait: bool) -> Iterator[OnlyOne]:
    """Try to be the only backend; with `wait`, until it is."""
    told = False
    while True:
        with only_one(places.lock_file()) as held:
            if held.alone or not wait:
                if not held.alone:
                    print(f"A backend runs already{_which()}.", flush=True)
                yield held
                return
        if not told:
            print(f"A backend runs already{_which()}. This one begins when it has ended.", flush=True)
            told = True
        time.sleep(TURN_SECONDS)


def _serve(options: ServeOptions, held: OnlyOne) -> None:
    """Serve as the only backend. Raises BackendError and OSError."""
    from ..server.checkup import DamagedStore
    from ..server.failures import StartFailure
    from ..server.open_stores import DATABASE, open_all
    from ..server.server import Server
    from ..styles.catalogue import Library

    library = Library()
    kept = open_all(places.data_folder(), options)
    for note in library.catalogue.notes:
        log.warning("%s", note)
    for note in (*kept.notes, *library.catalogue.notes):
        warn(note)
    with ExitStack() as unserved:
        unserved.callback(kept.store.close)
        server = Server(options, library, kept, held)
        unserved.pop_all()  # it closes what it serves
    for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, frame: server.stop())
    print("The backend serves. Ctrl-C ends it.", flush=True)
    if options.bind:
        print(f"Other machines reach it at {server.endpoint}; its public key is {server.public_key}", flush=True)
    try:
        server.run()
    except DamagedStore as error:
        raise StartFailure("queue_damaged", file=places.data_folder() / DATABASE, detail=error) from error


def _which() -> str:
    try:
        pid: int | None = connection.read(places.connection_file()).pid
    except ConnectionFileError:
        pid = locks.holder(places.lock_file())
    return "" if pid is None else f": process {pid}"


def devices(text: str) -> str:
    """One or several devices, as torch calls them. For argparse."""
    several = text.split(",")
    for each in several:
        if values.device(each) == "auto" and len(several) > 1:
            raise argparse.ArgumentTypeError(f'"{text}" is no device: auto stands alone')
    return text


def add_serve_options(command: argparse.ArgumentParser) -> None:
    """What `serve` and `service install` take, and `generate` does not."""
    command.add_argument(
        "--idle",
        type=values.number,
        default=IDLE_SECONDS,
        metavar="SECONDS",
        help=f"free the memory of models after so long without a job (default: {IDLE_SECONDS:.0f})",
    )
    command.add_argument(
        "--silence",
        type=values.number,
        default=SILENCE_SECONDS,
        metavar="SECONDS",
        help=f"take a worker for stuck after so long without a word (default: {SILENCE_SECONDS:.0f})",
    )
    command.add_argument(
        "--model-memory",
        type=values.number,
        default=0.0,
        metavar="GB",
        help="what models kept between jobs may take on a device (default: half of what it has)",
    )
    command.add_argument(
        "--keep",
        type=values.whole,
        default=KEPT_RESULTS,
        metavar="N",
        help=f"results to keep (default: {KEPT_RESULTS})",
    )
    command.add_argument(
        "--keep-gb",
        type=values.number,
        default=KEPT_BYTES / 1e9,
        metavar="GB",
        help=f"and how large all together (default: {KEPT_BYTES / 1e9:.0f}); what nobody has fetched stays",
    )
    command.add_argument(
        "--guest-gb",
        type=values.number,
        default=GUEST_BYTES / 1e9,
        metavar="GB",
        help=f"how large unfetched results of each other key may be (default: {GUEST_BYTES / 1e9:.0f})",
    )
    command.add_argument("--log-prompts", action="store_true", help="let prompts stand in the log")
    command.add_argument(
        "--bind", type=parse_bind, metavar="ADDRESS", help="let other machines in, such as 0.0.0.0:5577"
    )
    command.add_argument(
        "--authorize",
        type=Path,
        action="append",
        default=[],
        metavar="KEYFILE",
        help="public key of a client that is let in, from any machine; may be given several times",
    )


def add_backend_options(command: argparse.ArgumentParser, grace: float = GRACE_SECONDS) -> None:
    """What all take that start a backend."""
    command.add_argument("--fake", action="store_true", help="moving test pictures instead of models")
    add(command, "--device", ", or several with commas for a worker each (default: auto)", type=devices, default="auto")
    command.add_argument(
        "--grace",
        type=values.number,
        default=grace,
        metavar="SECONDS",
        help=f"how long to wait for a client before ending (default: {grace:.0f})",
    )
