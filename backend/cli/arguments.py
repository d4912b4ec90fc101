"""All commands and their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from elevator.cli import values
from elevator.cli.shared import add

from ..client.launch import START_GRACE
from . import control, diagnosis, generating, queueing, report
from .completion import add_completion
from .keys import add_keys, parse_name
from .models import add_models
from .service import add_service
from .serving import add_backend_options, add_serve
from .styling import add_styles
from .values import lora

if TYPE_CHECKING:
    from elevator.arguments import Commands


def add_commands(commands: Commands) -> None:
    """Add all of them."""
    add_serve(commands)
    _add_clients(commands)
    _add_diagnosis(commands)
    add_styles(commands)
    add_keys(commands)
    add_service(commands)
    add_models(commands)
    add_completion(commands)


def _add_clients(commands: Commands) -> None:
    _add_generate(_command(commands, "generate", "make clips; starts a backend if none runs", generating.generate))
    add_backend_options(commands.choices["generate"], START_GRACE)

    command = _command(commands, "queue", "show what runs and waits, or change its order", queueing.queue)
    change = command.add_mutually_exclusive_group()
    change.add_argument("--move", nargs=2, metavar=("JOB", "PLACE"), help="give a waiting job another place; 1 is next")
    change.add_argument("--front", metavar="JOB", help="let a waiting job come next")

    command = _command(
        commands, "cancel", "end jobs; a job is named by its first digits, at least four", queueing.cancel
    )
    command.add_argument("jobs", nargs="+", metavar="JOB")

    _command(commands, "pause", "start no further job; what runs is finished", control.pause)
    _command(commands, "resume", "start jobs again, after a pause or when the queue had stopped", control.resume)

    command = _command(commands, "results", "list ended jobs, write a clip's frames, or delete one", queueing.results)
    command.add_argument("job", nargs="?", metavar="JOB", help="one job alone")
    command.add_argument("--forget", metavar="JOB", help="delete this job's result")
    _add_out(command, "where the job's frames go; waits for its end")

    command = _command(commands, "conform", "change the frame rate of a finished clip", queueing.conform)
    command.add_argument("job", metavar="JOB")
    command.add_argument(
        "--fps", type=values.rate, required=True, metavar="N[/D]", help="the new rate, frames a second"
    )
    _add_method(command)
    _add_detach(command)
    _add_out(command, "where the new clip's frames go")

    _command(commands, "free", "give the memory of models back, where no job runs", control.free)
    command = _command(commands, "status", "say what the backend does, and which styles it has", control.status)
    command.add_argument("--styles", action="store_true", help="with --json: a line for each style, too")
    _command(commands, "stop", "end the backend; unfinished jobs wait for its next start", control.stop)


def _add_diagnosis(commands: Commands) -> None:
    command = commands.add_parser("doctor", help="say what is wrong here, and the command that mends it")
    command.add_argument("--json", action="store_true", help="for scripts")
    command.set_defaults(run=diagnosis.run_doctor)

    command = commands.add_parser(
        "report", help="write a file for a report of a fault, without keys, prompts, addresses and names"
    )
    command.add_argument("--out", type=Path, metavar="FILE.zip", help="where to (default: a new file in this folder)")
    command.set_defaults(run=report.run_report)


def _command(
    commands: Commands, name: str, about: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=about, description=f"{about[:1].upper()}{about[1:]}.")
    command.add_argument("--json", action="store_true", help="print one JSON object a line (docs/COMMANDS.md)")
    command.add_argument(
        "--profile", type=parse_name, metavar="NAME", help="the backend on another machine that this profile names"
    )
    command.set_defaults(run=run)
    return command


def _add_generate(command: argparse.ArgumentParser) -> None:
    add(command, "prompt")
    command.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="one clip for each row of a .csv or .jsonl file; the other options hold for what rows do not say",
    )
    command.add_argument("--style", default="plain", metavar="NAME", help="name of a style (default: plain)")
    add(command, "--negative", default="")
    add(command, "--preset", " (default: the style's own)", default="")
    add(command, "--set", default=[])
    add(command, "--lora", " (by name, besides the style's own)", type=lora, default=[])
    add(command, "--frames", " (default: the footage's, else the style's)")
    add(command, "--size", " (default: the style's)")
    add(command, "--seed")
    add(command, "--footage")
    add(command, "--strength")
    add(command, "--anchor")
    add(command, "--fps", ", to which the clip is changed")
    _add_method(command)
    command.add_argument("--dry-run", action="store_true", help="make nothing, say what it would take")
    _add_detach(command)
    add(command, "--out", "; with --from: out/FILE")
    add(command, "--overwrite")
    add(command, "--quiet")


def _add_method(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--method",
        choices=("hold", "flow"),
        default="hold",
        help="repeat frames, or move pixels along the optical flow (default: hold)",
    )


def _add_detach(command: argparse.ArgumentParser) -> None:
    command.add_argument("--detach", action="store_true", help="do not wait for the end; print the job's name")


def _add_out(command: argparse.ArgumentParser, about: str) -> None:
    command.add_argument(
        "--out", type=Path, metavar="PLACE", help=f"{about}: a folder, or a film, NAME.mp4, .webm or .gif"
    )
    add(command, "--overwrite")
    add(command, "--quiet")
