"""`python -m backend`: the command line.

Exit codes: 0 done · 1 a sentence on standard error says what to change · 2 the command is not understood ·
3 no backend runs or starts · 4 the job failed · 5 the result cannot be written · 70 a fault of ours ·
130 interrupted or cancelled · 141 nobody reads the output any longer.
A failure is one sentence, and the next step, on standard error.
"""

from __future__ import annotations

import argparse
import io
import logging
import signal
import sys
from collections.abc import Sequence

from elevator.arguments import ArgumentParser, until_unread, without_packages
from shared_protocol import VERSION
from shared_protocol.machine import places
from shared_protocol.machine.launcher import launcher

try:
    from .cli.arguments import add_commands
    from .cli.folders import check_folders
    from .cli.output import Error, Output, warn
    from .failures import EXIT_INTERRUPTED, BackendError, Failure
except ModuleNotFoundError as error:
    sys.exit(without_packages("video-elevator", error))

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    return until_unread(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be in any encoding
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
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
        log.exception("The command %s failed.", options.command)
        failure = Failure("internal", detail=f"{type(error).__name__}: {error}", log=places.log_file())
        return _fail(options, failure)


def _fail(options: argparse.Namespace, error: BackendError) -> int:
    Output(json=getattr(options, "json", False)).line(Error.of(error))
    warn(str(error))
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(prog=launcher(), description=__doc__.partition("\n\n")[2])
    parser.add_argument("--version", action="version", version=VERSION)
    add_commands(parser.add_subparsers(dest="command", required=True, metavar="COMMAND"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
