"""Makes a clip from a prompt, or once more from the sidecar of a clip.

Leaves frame_0001.png and so on, contact_sheet.jpg and the sidecar clip.json, which names everything that the clip was
made with and comes last: a folder without it holds no whole clip. Nothing is downloaded.

Exit codes: 0 done · 1 a sentence on standard error says what to change · 2 the command is not understood ·
70 a fault of ours · 130 interrupted; no frames are left then · 141 nobody reads the output any longer.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..arguments import ArgumentParser
from ..embedded import EMBEDDED
from ..sidecar import version
from ..sources import Lora
from . import values
from .clip_options import FPS, FRAMES
from .shared import add

_AGAIN = (
    "make the clip of this clip.json once more; options that name files say where these lie now, and weights of LoRAs "
    "stay (default of --out: its folder with -again)"
)


def parser() -> argparse.ArgumentParser:
    """The command line's; what is not given is not in its namespace either."""
    made = ArgumentParser(
        prog="elevator",
        description=__doc__,
        epilog="elevator identify FILE ... says what models' files are, elevator study makes the paper's tables,\n"
        "elevator calibrate finds a plan for two models that nobody has tuned; elevator COMMAND --help says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    made.add_argument("--version", action="version", version=version())
    add_models(made.add_argument_group("models"))
    _add_clip(made.add_argument_group("clip"))
    _add_running(made.add_argument_group("running"))
    return made


def add_models(group: argparse._ArgumentGroup) -> None:
    """Options that name models, which `clip_options.sources_of` reads."""
    names = ", ".join(EMBEDDED)
    group.add_argument(
        "--t2i", type=_model, metavar="MODEL", help="Stable Diffusion 1.x or 2.x: a file or folder, or embedded"
    )
    group.add_argument(
        "--t2v", type=_model, metavar="MODEL", help=f"text-to-video model: a file or folder, or one of {names}"
    )
    group.add_argument("--vae", type=values.path, metavar="MODEL", help="instead of the T2I's")
    group.add_argument(
        "--prediction-type", choices=("epsilon", "v_prediction"), help="of a T2I whose file does not say it"
    )
    group.add_argument(
        "--distilled",
        choices=("lcm", "hyper", "lightning", "turbo", "none"),
        help="how a T2I, or a --lora on it, was distilled to a few steps, if its folder does not say it",
    )
    group.add_argument(
        "--t2v-text", type=values.path, metavar="MODEL", help="whose text encoder the T2V reads, instead of its own"
    )
    group.add_argument("--t2v-schedule", metavar="NAME", help="of timesteps, instead of the T2V's own")
    group.add_argument(
        "--t2v-lora", type=_lora, action="append", metavar="LORA[:WEIGHT]", help="for a T2V of motion modules alone"
    )
    add(group, "--lora", " (a file or folder, for the T2I or motion modules)", type=_lora)
    group.add_argument(
        "--embedding", type=values.path, action="append", metavar="PATH", help="textual inversion; may be repeated"
    )


def _add_clip(group: argparse._ArgumentGroup) -> None:
    add(group, "prompt")
    add(group, "--negative")
    group.add_argument(
        "--travel",
        type=_travel,
        action="append",
        metavar="FRAME=TEXT",
        help="prompt at a frame, counted from 0, where PROMPT holds; may be repeated",
    )
    add(group, "--preset", ": published, balanced, fast or draft (default: published); turbo for a distilled T2I")
    add(group, "--set")
    add(group, "--frames", f" (default: {FRAMES}, or as many as --footage has, if fewer)")
    add(group, "--size", " (default: the T2I's own)")
    add(group, "--seed")
    add(group, "--footage", dest="init")
    add(group, "--strength")
    add(group, "--anchor")
    add(group, "--fps", f", for the record (default: {FPS:g})")


def _add_running(group: argparse._ArgumentGroup) -> None:
    add(group, "--device", " (default: auto, which is a GPU where there is one)")
    group.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        help="of the networks (default: float16 on a GPU, float32 on the cpu)",
    )
    group.add_argument("--offload", action="store_true", help="keep only the running network on the device")
    add(group, "--out")
    add(group, "--overwrite")
    group.add_argument("--again", type=Path, metavar="SIDECAR", help=_AGAIN)
    group.add_argument("--force", action="store_true", help="with --again: even if files are missing or changed")
    add(group, "--quiet")


def _model(text: str) -> str:
    return text if text in EMBEDDED else values.path(text)


def _lora(text: str) -> Lora:
    path, weight = values.weighted(text)
    return Lora(values.path(path), weight)


def _travel(text: str) -> tuple[int, str]:
    frame, equals, prompt = text.partition("=")
    if not equals or not frame.strip().lstrip("-").isdecimal():
        raise argparse.ArgumentTypeError(f'"{text}" names no frame: write it like 8="a dog"')
    return int(frame), values.text(prompt)
