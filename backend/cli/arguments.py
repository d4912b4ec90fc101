"""All commands and their options."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from elevator.arguments import ArgumentParser
from elevator.cli import values
from elevator.cli.shared import add

from .completion import add_completion

if TYPE_CHECKING:
    from elevator.arguments import Commands

Add: TypeAlias = Callable[[ArgumentParser], None]
"""Adds a command's options to its parser."""


def add_commands(commands: Commands, wanted: str | None = None) -> None:
    """Add all of them. wanted: the one that is asked for, if that is known. Of others only the name is told then, and
    what they are about: each imports what it needs, and a server starts in half of the time without that."""
    if wanted == "completion":
        wanted = None
    for name, (about, add_to) in COMMANDS.items():
        command = commands.add_parser(name, help=about, description=f"{about[:1].upper()}{about[1:]}.")
        if wanted in (None, name):
            add_to(command)
    completion, about = "completion", "print what a shell completes this command line with"
    add_completion(commands.add_parser(completion, help=about), commands)


def _of(module: str, function: str) -> Callable[..., Any]:
    """A function of a module of this room, which is imported when it is called."""

    def call(argument: Any) -> Any:
        return getattr(import_module(f".{module}", __package__), function)(argument)

    return call


def _client(module: str, function: str, more: Callable[[ArgumentParser], None] | None = None) -> Add:
    """Options of a command that speaks with a backend, which that function runs; and `more` of them."""

    def add_to(command: ArgumentParser) -> None:
        from .keys import parse_name

        command.add_argument("--json", action="store_true", help="print one JSON object a line (docs/COMMANDS.md)")
        command.add_argument(
            "--profile", type=parse_name, metavar="NAME", help="the backend on another machine that this profile names"
        )
        command.set_defaults(run=_of(module, function))
        if more is not None:
            more(command)

    return add_to


def _add_queue(command: ArgumentParser) -> None:
    change = command.add_mutually_exclusive_group()
    change.add_argument("--move", nargs=2, metavar=("JOB", "PLACE"), help="give a waiting job another place; 1 is next")
    change.add_argument("--front", metavar="JOB", help="let a waiting job come next")


def _add_cancel(command: ArgumentParser) -> None:
    command.add_argument("jobs", nargs="+", metavar="JOB")


def _add_results(command: ArgumentParser) -> None:
    command.add_argument("job", nargs="?", metavar="JOB", help="one job alone")
    command.add_argument("--forget", metavar="JOB", help="delete this job's result")
    _add_out(command, "where the job's frames go; waits for its end")


def _add_conform(command: ArgumentParser) -> None:
    command.add_argument("job", metavar="JOB")
    command.add_argument(
        "--fps", type=values.rate, required=True, metavar="N[/D]", help="the new rate, frames a second"
    )
    _add_method(command)
    _add_detach(command)
    _add_out(command, "where the new clip's frames go")


def _add_status(command: ArgumentParser) -> None:
    command.add_argument("--styles", action="store_true", help="with --json: a line for each style, too")


def _add_doctor(command: ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="for scripts")
    command.set_defaults(run=_of("diagnosis", "run_doctor"))


def _add_report(command: ArgumentParser) -> None:
    command.add_argument("--out", type=Path, metavar="FILE.zip", help="where to (default: a new file in this folder)")
    command.set_defaults(run=_of("report", "run_report"))


def _add_generate(command: ArgumentParser) -> None:
    from ..client.launch import START_GRACE
    from .serving import add_backend_options
    from .values import lora

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
    add_backend_options(command, START_GRACE)


def _add_method(command: ArgumentParser) -> None:
    command.add_argument(
        "--method",
        choices=("hold", "flow"),
        default="hold",
        help="repeat frames, or move pixels along the optical flow (default: hold)",
    )


def _add_detach(command: ArgumentParser) -> None:
    command.add_argument("--detach", action="store_true", help="do not wait for the end; print the job's name")


def _add_out(command: ArgumentParser, about: str) -> None:
    command.add_argument(
        "--out", type=values.place, metavar="PLACE", help=f"{about}: a folder, or a film, NAME.mp4, .webm or .gif"
    )
    add(command, "--overwrite")
    add(command, "--quiet")


COMMANDS: dict[str, tuple[str, Add]] = {
    "serve": ("serve Blender and the command line until told to stop", _of("serving", "add_serve")),
    "generate": ("make clips; starts a backend if none runs", _client("generating", "generate", _add_generate)),
    "queue": ("show what runs and waits, or change its order", _client("queueing", "queue", _add_queue)),
    "cancel": (
        "end jobs; a job is named by its first digits, at least four",
        _client("queueing", "cancel", _add_cancel),
    ),
    "pause": ("start no further job; what runs is finished", _client("control", "pause")),
    "resume": ("start jobs again, after a pause or when the queue had stopped", _client("control", "resume")),
    "results": (
        "list ended jobs, write a clip's frames, or delete one",
        _client("queueing", "results", _add_results),
    ),
    "conform": ("change the frame rate of a finished clip", _client("queueing", "conform", _add_conform)),
    "free": ("give the memory of models back, where no job runs", _client("control", "free")),
    "status": ("say what the backend does, and which styles it has", _client("control", "status", _add_status)),
    "stop": ("end the backend; unfinished jobs wait for its next start", _client("control", "stop")),
    "doctor": ("say what is wrong here, and the command that mends it", _add_doctor),
    "report": ("write a file for a report of a fault, without keys, prompts, addresses and names", _add_report),
    "styles": (
        "see, make, copy, change and remove styles, and have pictures made",
        _of("styling", "add_styles"),
    ),
    "key": ("make a key, with which a client reaches a backend on another machine", _of("keys", "add_key")),
    "profile": ("note how a backend on another machine is reached", _of("keys", "add_profile")),
    "service": ("have the system start a backend, and start it again if it fails", _of("service", "add_service")),
    "models": ("see, get, find, check and take along model files", _of("models", "add_models")),
}
"""What each is about, in the order of --help, and what adds its options."""
