"""`python -m backend`: the command line, and the wiring of the server.

Exit codes: 0 done · 1 a fault of ours · 2 the request or the command is wrong · 3 no backend runs or starts ·
4 the job failed · 5 the result cannot be written · 130 interrupted or cancelled. A failure is one sentence, and the
next step, on standard error.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from shared_protocol import VERSION, connection, places
from shared_protocol.errors import ConnectionFileError

from . import command_line, logs
from .failures import EXIT_DONE, EXIT_INTERRUPTED, BackendError, cannot_write
from .lock import only_one
from .settings import GRACE_SECONDS, Settings

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    options = _parser().parse_args(arguments)
    # Whoever is asked to end leaves in order, too: what it started must not stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(options.run(options))
    except BackendError as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("Interrupted.")
        return EXIT_INTERRUPTED
    except Exception as error:  # the outer edge: every failure gets a code and a sentence
        log.exception("The command %s failed.", options.command)
        failure = BackendError("internal", detail=f"{type(error).__name__}: {error}", log=places.log_file())
        _say(str(failure))
        return failure.exit_code


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def serve(options: argparse.Namespace) -> int:
    """Serve clients until told to stop."""
    from .jobs import MemoryStore
    from .server import Server
    from .styles import read_catalogue

    settings = Settings(fake=options.fake, stay=options.stay, grace=options.grace, device=options.device)
    try:
        logs.start(places.log_file())
        with only_one(places.state_folder() / "serve.lock") as alone:
            if not alone:
                print(f"A backend runs already{_which()}.", flush=True)
                return EXIT_DONE
            catalogue = read_catalogue()
            for note in catalogue.notes:
                _say(note)
            server = Server(settings, catalogue, MemoryStore())
            for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP"):
                if hasattr(signal, name):
                    signal.signal(getattr(signal, name), lambda number, frame: server.stop())
            print("The backend serves. Ctrl-C ends it.", flush=True)
            server.run()
    except OSError as error:
        raise cannot_write(places.state_folder(), error) from error
    return EXIT_DONE


def _which() -> str:
    try:
        return f": process {connection.read(places.connection_file()).pid}"
    except ConnectionFileError:
        return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend", description=__doc__.partition("\n\n")[2])
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="serve Blender and the command line until told to stop")
    _add_backend_options(command)
    command.add_argument("--stay", action="store_true", help="do not end when nobody is connected")
    command.set_defaults(run=serve)

    command = commands.add_parser("generate", help="make a clip; starts a backend if none runs")
    command.add_argument("prompt", help="what should be seen")
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the frames go")
    command.add_argument("--style", default="plain", help="name of a style (default: plain)")
    command.add_argument("--frames", type=int, help="length (default: the style's)")
    command.add_argument("--size", type=command_line.size, metavar="WxH", help="in pixels (default: the style's)")
    command.add_argument("--seed", type=int, help="the same seed gives the same clip (default: a random one)")
    command.add_argument("--negative", default="", metavar="TEXT", help="what should not be seen")
    command.add_argument("--overwrite", action="store_true", help="replace frames of another clip in the folder")
    command.add_argument("--quiet", action="store_true", help="show no progress")
    _add_backend_options(command)
    command.set_defaults(run=command_line.generate)

    command = commands.add_parser("status", help="say what the backend does, and which styles it has")
    command.set_defaults(run=command_line.status)

    command = commands.add_parser("stop", help="end the backend; unfinished jobs are cancelled")
    command.set_defaults(run=command_line.stop)
    return parser


def _add_backend_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--fake", action="store_true", help="moving test pictures instead of models")
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to sample")
    command.add_argument(
        "--grace",
        type=float,
        default=GRACE_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for a client before ending (default: {GRACE_SECONDS:.0f})",
    )


if __name__ == "__main__":
    sys.exit(main())
