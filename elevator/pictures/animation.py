"""`python -m elevator.pictures.animation FOLDER… --out FILE.webp`: clips as one moving picture, for pages and previews.

Several clips play side by side. Small frames are enlarged by whole factors: each of their pixels stays a square.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..arguments import ArgumentParser, until_unread
from ..errors import ElevatorError, RequestError
from .clip_folder import frames_in
from .footage import read_picture

GAP_PX = 8
"""Between clips that play side by side."""


def animation(clips: Sequence[NDArray[np.uint8]], size: int) -> list[Image.Image]:
    """The pictures of a moving picture: clips (F, H, W, 3) side by side, each frame about `size` pixels high.

    All clips have one shape. Raises RequestError if they do not.
    """
    if len({clip.shape for clip in clips}) != 1:
        raise RequestError("The clips differ in size or length; name clips of one style.")
    times = max(size // clips[0].shape[1], 1)
    large = [clip.repeat(times, axis=1).repeat(times, axis=2) for clip in clips]
    frames, height, width = large[0].shape[:3]
    sheet = np.full((frames, height, len(clips) * (width + GAP_PX) - GAP_PX, 3), 255, np.uint8)
    for k, clip in enumerate(large):
        left = k * (width + GAP_PX)
        sheet[:, :, left : left + width] = clip
    return [Image.fromarray(picture) for picture in sheet]


def save(pictures: Sequence[Image.Image], path: Path, fps: float) -> None:
    """Write an animated WebP that plays for ever. No pixel changes. Raises OSError."""
    pictures[0].save(
        path, "WEBP", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0, lossless=True
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = ArgumentParser(prog="python -m elevator.pictures.animation", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="frames of a clip: frame_0001.png, …")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the moving picture, a .webp")
    parser.add_argument("--fps", type=float, default=8.0, help="frames a second (default: 8)")
    parser.add_argument("--size", type=int, default=192, help="height of a frame, pixels, at most (default: 192)")
    options = parser.parse_args(arguments)
    try:
        clips = [_frames(folder) for folder in options.folders]
        save(animation(clips, options.size), options.out, options.fps)
    except (ElevatorError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _frames(folder: Path) -> NDArray[np.uint8]:
    files = frames_in(folder)
    if not files:
        raise RequestError(f"{folder} holds no frames; name a folder with frame_0001.png and so on.")
    return np.stack([read_picture(file) for file in files])


if __name__ == "__main__":
    sys.exit(until_unread(main))
