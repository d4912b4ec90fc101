"""`styles thumbnail`: a style's picture is a frame of a small clip in it."""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

from shared_protocol.machine import files
from shared_protocol.messages import Style

from ..client.api import Wish
from ..client.failures import cannot_write
from ..failures import EXIT_DONE
from ..styles import writing
from ..styles.files import STYLES, StyleFile
from ..styles.recipes import THUMBNAIL_BYTES
from .failures import CommandFailure
from .following import Watcher, cancelling, connected
from .output import Output, typed
from .style_lines import found, line_of
from .terminal import ProgressLine

PICTURE_SIDE = 256
"""Pixels of a style's picture, and of the clip that it is taken from where the style can make one so small."""
PICTURE_FRAMES = 8


def run_thumbnail(options: argparse.Namespace) -> int:
    """Have the style's picture made. Raises BackendError."""
    output = Output(json=options.json)
    file, content = found(options.name)
    picture = file.with_suffix(writing.PICTURE)
    if file.parent == STYLES:
        step = f'Copy it first, with "{typed("styles", "copy", options.name, "NEW")}".'
        raise CommandFailure("style_unwritten", detail=f'the style "{options.name}" is not your own', step=step)
    if picture.exists() and not options.overwrite:
        step = "Give --overwrite to replace it."
        raise CommandFailure("style_unwritten", detail=f"there is a picture already: {picture}", step=step)
    with connected(options, start=True) as backend, ProgressLine(quiet=options.quiet or options.json) as line:
        job = backend.submit(_sample(options.name, content, backend.styles.get(options.name)))
        with cancelling(backend, [job]):
            Watcher(line, output, quiet=True).follow(job)
        with tempfile.TemporaryDirectory() as folder:
            frames = job.fetch(Path(folder) / "clip")
            data = _small(frames[len(frames) // 2])
    try:
        files.write(picture, data, replace=options.overwrite)
    except OSError as error:
        raise cannot_write(picture.parent, error) from error
    output.line(line_of(options.name))
    output.say(f"The picture is {picture}. A backend that runs shows it from now on.")
    return EXIT_DONE


def _sample(name: str, content: StyleFile, style: Style | None) -> Wish:
    """A clip as small and quick as the style can make it."""
    if style is None:
        return Wish(content.example_prompt, style=name)
    side = max(style.min_size, min(PICTURE_SIDE, style.max_size) // style.size_step * style.size_step)
    quickest = style.presets[style.calls.index(min(style.calls))] if style.calls else ""
    frames = min(PICTURE_FRAMES, style.frames)
    return Wish(content.example_prompt, style=name, width=side, height=side, frames=frames, preset=quickest, seed=1)


def _small(frame: Path) -> bytes:
    """A frame as a PNG that is no larger than a style's picture may be."""
    from PIL import Image

    with Image.open(frame) as opened:
        image = opened.convert("RGB")
    side = PICTURE_SIDE
    while True:
        image.thumbnail((side, side))
        image.save(data := io.BytesIO(), "PNG", optimize=True)
        if len(data.getvalue()) <= THUMBNAIL_BYTES:
            return data.getvalue()
        side //= 2
