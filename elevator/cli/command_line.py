"""Runs `python -m elevator`; `elevator.cli.options` has its options and exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..arguments import though_unread
from ..errors import ElevatorError
from ..pictures.clip_folder import record_path
from ..sidecar import Sidecar
from . import calibrating, identifying, studying
from .clip_options import SEVERAL, SINGLE, ClipOptions, clip_again, new_clip
from .options import parser

log = logging.getLogger(__name__)

DONE, TO_CHANGE, INTERNAL, INTERRUPTED = 0, 1, 70, 130
WITH_AGAIN = {*SINGLE, *SEVERAL, "again", "force", "device", "dtype", "offload", "out", "overwrite", "quiet"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    words = sys.argv[1:] if arguments is None else [str(word) for word in arguments]
    if identifying.is_meant(words):
        return identifying.main(words[1:])
    if studying.is_meant(words):
        return studying.main(words[1:])
    if calibrating.is_meant(words):
        return calibrating.main(words[1:])
    grammar = parser()
    given = vars(grammar.parse_args(arguments))
    if problem := _misunderstood(given):
        grammar.error(problem)
    try:
        options = clip_again(given) if "again" in given else new_clip(given)
        from .recording import make  # torch is slow to import, and only what is left to do needs it

        made = make(options)
    except ElevatorError as error:
        print(error, file=sys.stderr)
        return TO_CHANGE
    except BrokenPipeError:
        raise  # `until_unread` knows what that means
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except Exception:  # the outer edge: a fault of ours has a code of its own
        log.exception("Something went wrong that should not.")
        return INTERNAL
    though_unread(lambda: print(_summary(options, made)))
    return DONE


def _misunderstood(given: Mapping[str, Any]) -> str | None:
    """What is wrong with the options as a whole."""
    if "again" in given:
        extra = sorted(given.keys() - WITH_AGAIN)
        return f"--again makes a clip as it was; leave out: {', '.join(extra)}" if extra else None
    if "force" in given:
        return "--force goes with --again"
    missing = [f"--{name}" for name in ("t2i", "t2v") if name not in given]
    if missing:
        return f"{' and '.join(missing)} must be given, or --again"
    frames = [frame for frame, _ in given.get("travel", ())]
    if "prompt" in given:
        frames = [0, *frames] if frames else [0]
    if not frames:
        return "a prompt must be given, or --travel or --again"
    return "there are two prompts for one frame" if len(set(frames)) < len(frames) else None


def _summary(options: ClipOptions, made: Sidecar) -> str:
    """What was made and where it is, and whether it is what it should be."""
    settings, seconds = made.settings, sum(made.seconds.values())
    size = f"{settings.width} × {settings.height}"
    lines = [
        f"{settings.frames} frames of {size} pixels, seed {settings.seed}, made in {seconds:.1f} s:",
        str(record_path(options.out)),
    ]
    if options.like is not None:
        pairs = zip(made.frames, options.like.frames, strict=True)
        other = [now.file for now, then in pairs if now.sha256 != then.sha256]
        lines.append(
            f"{len(other)} of {settings.frames} frames have other pixels than recorded, first {other[0]}."
            if other
            else "All frames have the recorded pixels."
        )
    return "\n".join(lines)
