#!/usr/bin/env python3
"""Sets Elevator up, shows it at work, tests it. Needs nothing but Python: start with `python3 install.py --help`."""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):  # noqa: UP036 - this is the file that meets an old Python
    sys.exit("install.py needs Python 3.10 or newer: this is {}.{}.".format(*sys.version_info))

import argparse
from pathlib import Path

from backend.installer import checks, demo, development, doctor, extension, readiness, uninstall
from backend.installer.children import end_on_signals
from backend.installer.clone import BACKEND, BLENDER, LTS_BLENDER, NEWEST_BLENDER, OLD_BLENDER, ROOT
from backend.installer.problem import Interrupted, Problem
from backend.installer.terminal import say
from backend.installer.torch_wheel import KINDS, Wish
from elevator.arguments import ArgumentParser, until_unread
from shared_protocol.machine.places import NoHome

EPILOG = """\
Every command may be repeated at any time: what is complete is left alone, what an earlier try left half-finished is
made anew. All that install.py makes lies in this folder (.venv*, build, demo), but for one small file in your
settings folder that tells Blender where the backend is."""


def main(arguments: list[str]) -> int:
    """Run one command. Returns the exit code."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command is not _test:
        parser.error(f"unknown argument: {' '.join(rest)}{parser.hint(options, rest)}")
    options.rest = rest
    end_on_signals()
    try:
        return int(options.command(options))
    except Interrupted:
        say("\nStopped. Nothing keeps running; the same command goes on from here.")
        return 130
    except BrokenPipeError:
        raise  # `until_unread` knows what that means
    except (Problem, NoHome, OSError) as error:
        sentence = (
            f"{error.filename}: {error.strerror}." if isinstance(error, OSError) and error.filename else str(error)
        )
        print(f"\ninstall.py: {sentence}", file=sys.stderr, flush=True)
        return 1


def _setup(options: argparse.Namespace) -> int:
    readiness.make_ready([BACKEND], _torch(options))
    say(f"The backend is ready. Blender finds it by {readiness.tell_blender()}")
    return 0


def _demo(options: argparse.Namespace) -> int:
    wish = demo.Wish(
        prompt=options.prompt, style=options.style, seed=options.seed, frames=options.frames, size=options.size
    )
    demo.show(wish, folder=options.out, blender=options.blender, torch=_torch(options), fake=options.fake)
    return 0


def _test(options: argparse.Namespace) -> int:
    more = [LTS_BLENDER, NEWEST_BLENDER] if options.long else []
    readiness.make_ready([BACKEND, BLENDER, OLD_BLENDER, *more], _torch(options))
    development.make_ready()
    also = [f"--{name}" for name in ("long", "ui") if getattr(options, name)]
    wrong = checks.check()
    return checks.test([*also, *options.rest]) or wrong


def _package(options: argparse.Namespace) -> int:
    readiness.make_ready([BACKEND], _torch(options))
    if options.all_platforms:
        for zip_file in extension.package_all(options.out):
            say(str(zip_file))
        return 0
    readiness.tell_blender()
    say(f"Install this in Blender: {extension.package(options.out)}")
    return 0


def _uninstall(options: argparse.Namespace) -> int:
    return uninstall.uninstall(yes=options.yes, keep_models=options.keep_models)


def _doctor(options: argparse.Namespace) -> int:
    return doctor.examine()


def _torch(options: argparse.Namespace) -> Wish:
    return Wish(options.torch, options.torch_index)


def _number(text: str) -> int:
    """0 … 2³¹ − 1: what Blender can hold."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no whole number") from None
    if not 0 <= number < 1 << 31:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {(1 << 31) - 1}")
    return number


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="install.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text[0].lower() + text[1:], description=text)
        command.set_defaults(command=run)
        command.add_argument(
            "--torch",
            choices=KINDS,
            default="",
            help="which build of torch: for this machine's GPU (auto), the CPU, or the GPUs of NVIDIA (cuda), "
            "AMD (rocm) or Intel (xpu); left out: the one that is there, at first auto",
        )
        command.add_argument(
            "--torch-index", metavar="URL", default="", help="where to get torch from instead of PyTorch's own index"
        )
        return command

    add("setup", _setup, "Make the backend's environment and tell Blender where it is.")
    show = add("demo", _demo, "Set up, make a clip in a real Blender, and leave film, frames and project in demo/.")
    show.add_argument("prompt", nargs="?", default="", help="what the clip shows; left out: one the models know well")
    show.add_argument("--style", metavar="NAME", default="", help="look of the clip (default: plain), or all")
    show.add_argument("--seed", type=_number, default=1, help="another number gives another clip (default: 1)")
    show.add_argument("--frames", type=_number, default=0, help="length in frames (default: the style's)")
    show.add_argument(
        "--size", type=_number, default=0, metavar="PIXELS", help="width and height (default: the style's)"
    )
    show.add_argument("--out", type=Path, default=ROOT / "demo", metavar="FOLDER", help="where to (default: demo)")
    show.add_argument("--blender", type=Path, metavar="PROGRAM", help="use this Blender instead of the bpy module")
    show.add_argument("--fake", action="store_true", help="test pictures instead of the models, in a few seconds")
    test = add(
        "test", _test, "Set up what the tests need, run scripts/check and all tests. Further arguments go to pytest."
    )
    test.add_argument(
        "--long",
        action="store_true",
        help="also run the tests that take long, in two more Blenders, of which one needs Python 3.13",
    )
    test.add_argument(
        "--ui",
        action="store_true",
        help="also click in Blenders with a window, pictures in demo/ui; on Debian, as root",
    )
    package = add(
        "package",
        _package,
        "Set up, build the extension zip that Blender installs, and tell Blender where the backend is.",
    )
    package.add_argument("--out", type=Path, default=ROOT / "build", metavar="FOLDER", help="where to (default: build)")
    package.add_argument(
        "--all-platforms", action="store_true", help="a zip for each of Linux, Windows and macOS, to hand out"
    )
    remove = add(
        "uninstall",
        _uninstall,
        "Delete what install.py has made and, after asking, clips, settings and models of your own. This folder stays.",
    )
    remove.add_argument("--yes", action="store_true", help="ask nothing")
    remove.add_argument(
        "--keep-models", action="store_true", help="leave models, LoRAs, bases and styles where they are"
    )
    add("doctor", _doctor, "Say what is missing in this installation and what mends it. Changes nothing.")
    return parser


if __name__ == "__main__":
    sys.exit(until_unread(lambda: main(sys.argv[1:])))
