"""`python -m backend`: the command line.

Exit codes: 0 done · 1 a sentence on standard error says what to change · 2 the command is not understood ·
3 no backend runs or starts · 4 the job failed · 5 the result cannot be written · 70 a fault of ours ·
130 interrupted or cancelled · 141 nobody reads the output any longer.
A failure is one sentence, and the next step, on standard error.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from elevator.arguments import ArgumentParser, until_unread, without_packages
from shared_protocol import VERSION
from shared_protocol.machine import places
from shared_protocol.machine.launcher import launcher

try:
    from shared_protocol.texts import sentence

    from . import logs
    from .cli.arguments import add_commands
    from .cli.folders import check_folders
    from .cli.output import Error, Output, warn
    from .failures import EXIT_INTERRUPTED, EXIT_USAGE, BackendError, Failure
except ModuleNotFoundError as error:
    sys.exit(without_packages("video-elevator", error))

log = logging.getLogger(__name__)
# What the catalogue notes is said by the commands themselves; without a handler Python would say it once more.
logging.getLogger("backend").addHandler(logging.NullHandler())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    return until_unread(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    wanted = next((word for word in words if not word.startswith("-")), "") if words else None
    options = _parser(wanted).parse_args(words)
    # Whoever is asked to end leaves in order, too: what it started must not stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        check_folders()
        return int(options.run(options))
    except BackendError as error:
        return _fail(options, error)
    except BrokenPipeError:
        raise  # `until_unread` knows what that means
    except KeyboardInterrupt:
        warn("Interrupted.")
        return EXIT_INTERRUPTED
    except Exception as error:  # the outer edge: every failure gets a code and a sentence
        words, kept = f"The command {options.command} failed.", places.log_file()
        log.exception(words)
        if options.command != "serve":  # which alone keeps a log by itself
            kept = places.commands_log_file()
            _note_exception(kept, words)
        return _fail(options, Failure("internal", detail=f"{type(error).__name__}: {error}", log=kept))


class _Parser(ArgumentParser):
    """Says what it does not understand to scripts, too."""

    def error(self, message: str) -> NoReturn:
        if "--json" in self.words:
            see = f'See "{self.prog} --help".'
            line = Error(code="usage", message=sentence(message), next_step=see, exit_code=EXIT_USAGE)
            Output(json=True).line(line)
        super().error(message)


def _fail(options: argparse.Namespace, error: BackendError) -> int:
    Output(json=getattr(options, "json", False)).line(Error.of(error))
    warn(str(error))
    return error.exit_code


def _note_exception(path: Path, words: str) -> None:
    try:
        logs.note_exception(path, log.name, words)
    except OSError as error:  # then at least whoever sits there has it
        traceback.print_exc()
        warn(f"It could not be logged: {error}")


def _parser(wanted: str | None = None) -> argparse.ArgumentParser:
    """wanted: the command that is asked for, if that is known."""
    parser = _Parser(prog=launcher(), description=__doc__.partition("\n\n")[2])
    parser.add_argument("--version", action="version", version=VERSION)
    commands: Any = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_commands(commands, wanted)
    return parser


if __name__ == "__main__":
    sys.exit(main())
