"""Makes a clip from a prompt, or once more from the sidecar of a clip.

Leaves frame_0001.png and so on, contact_sheet.jpg and the sidecar clip.json, which names everything that the clip was
made with and comes last: a folder without it holds no whole clip. Nothing is downloaded.

Exit codes: 0 done · 1 a sentence on standard error says what to change · 2 the command is not understood ·
130 interrupted; no frames are left then.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ..arguments import ArgumentParser
from ..embedded import EMBEDDED
from ..sidecar import version
from ..sources import Lora
from . import values
from .order import FPS, FRAMES

MAX_SEED = 2**63 - 1
MAX_FPS = 1000.0
_AGAIN = (
    "make the clip of this clip.json once more; options that name files say where these lie now, and weights of LoRAs "
    "stay (default of --out: its folder with -again)"
)


def parser() -> argparse.ArgumentParser:
    """The command line's; what is not given is not in its namespace either."""
    made = ArgumentParser(
        prog="python -m elevator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    made.add_argument("--version", action="version", version=version())
    _add_models(made.add_argument_group("models"))
    _add_clip(made.add_argument_group("clip"))
    _add_running(made.add_argument_group("running"))
    return made


def _add_models(group: argparse._ArgumentGroup) -> None:
    names = ", ".join(EMBEDDED)
    group.add_argument(
        "--t2i", type=_model, metavar="MODEL", help="Stable Diffusion 1.x or 2.x: a file or folder, or embedded"
    )
    group.add_argument(
        "--t2v", type=_model, metavar="MODEL", help=f"text-to-video model: a file or folder, or one of {names}"
    )
    group.add_argument("--vae", type=_path, metavar="MODEL", help="instead of the T2I's")
    group.add_argument(
        "--prediction-type", choices=("epsilon", "v_prediction"), help="of a T2I whose file does not say it"
    )
    group.add_argument(
        "--t2v-text", type=_path, metavar="MODEL", help="whose text encoder the T2V reads, instead of its own"
    )
    group.add_argument("--t2v-schedule", metavar="NAME", help="of timesteps, instead of the T2V's own")
    group.add_argument(
        "--t2v-lora", type=_lora, action="append", metavar="PATH[:WEIGHT]", help="for motion modules alone"
    )
    group.add_argument(
        "--lora",
        type=_lora,
        action="append",
        metavar="PATH[:WEIGHT]",
        help="for the T2I, at weight 1 if none is given; may be repeated",
    )
    group.add_argument(
        "--embedding", type=_path, action="append", metavar="PATH", help="textual inversion; may be repeated"
    )


def _add_clip(group: argparse._ArgumentGroup) -> None:
    group.add_argument("prompt", nargs="?", type=_text, help="what should be seen")
    group.add_argument("--negative", type=_text, metavar="TEXT", help="what should not be seen")
    group.add_argument(
        "--travel",
        type=_travel,
        action="append",
        metavar="FRAME=TEXT",
        help="prompt at a frame, counted from 0, where PROMPT holds; may be repeated",
    )
    group.add_argument(
        "--preset", metavar="NAME", help="plan of sampling: published (default), balanced, fast or draft"
    )
    group.add_argument(
        "--set",
        type=values.setting,
        action="append",
        metavar="KEY=VALUE",
        help="a setting of the sampler, such as steps=20, refine=[18,14] or lowpass.method=none; may be repeated",
    )
    group.add_argument("--frames", type=int, help=f"length (default: {FRAMES}, or as many as --footage has, if fewer)")
    group.add_argument("--size", type=values.size, metavar="WxH", help="in pixels (default: the T2I's own)")
    group.add_argument("--seed", type=_seed, help="the same seed gives the same clip (default: a random one)")
    group.add_argument(
        "--footage",
        dest="init",
        type=_path,
        metavar="FOLDER",
        help="what to start from: PNG files in the order of their names, fitted to the clip's size",
    )
    group.add_argument("--strength", type=float, help="how much of the footage is made anew, 0 to 1 (default: 0.8)")
    group.add_argument("--anchor", type=_path, metavar="PNG", help="the picture that is frame 0")
    group.add_argument("--fps", type=_fps, help=f"frames a second, for the record (default: {FPS:g})")


def _add_running(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--device", type=_device_name, help="cpu, cuda or cuda:1 (default: cuda where there is one)")
    group.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        help="of the networks (default: float16 on cuda, float32 on the cpu)",
    )
    group.add_argument("--offload", action="store_true", help="keep only the running network on the device")
    group.add_argument("--out", type=Path, metavar="FOLDER", help="where the clip goes (default: out/PROMPT-SEED)")
    group.add_argument("--overwrite", action="store_true", help="replace a clip that is there")
    group.add_argument(
        "--again",
        type=Path,
        metavar="SIDECAR",
        help=_AGAIN,
    )
    group.add_argument("--force", action="store_true", help="with --again: even if files are missing or changed")
    group.add_argument("--quiet", action="store_true", help="show no progress")


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # the sidecar could not hold it
        raise argparse.ArgumentTypeError(f"{text!r} is not written in UTF-8") from error
    return text


def _path(text: str) -> str:
    return str(Path(_text(text)).absolute())


def _model(text: str) -> str:
    return text if text in EMBEDDED else _path(text)


def _lora(text: str) -> Lora:
    path, weight = values.weighted(text)
    return Lora(_path(path), weight)


def _travel(text: str) -> tuple[int, str]:
    frame, _, prompt = text.partition("=")
    return int(frame), _text(prompt)


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"{seed} is not between 0 and {MAX_SEED}")
    return seed


def _fps(text: str) -> float:
    fps = float(text)
    if not 0 < fps <= MAX_FPS:  # the sidecar could not hold what is no number
        raise argparse.ArgumentTypeError(f"{text} is not above 0, at most {MAX_FPS:g}")
    return fps


def _device_name(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no device; write cpu, cuda or cuda:1")
    return text
