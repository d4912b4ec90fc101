"""Pictures of subjects: colour emoji for training, drawn shapes as stand-ins for tests.

Anything with a `picture(name, symbol)` method can paint the world's subjects, so the
world itself knows nothing about fonts.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

PICTURE_PX = 112
"""Longer side of a subject picture, in pixels, before it is painted into a frame."""

FONT_FILE = "NotoColorEmoji.ttf"
FONT_PACKAGE = "fonts-noto-color-emoji"
_FONT_BITMAP_PX = 109  # the only size that the font's bitmaps have
CACHE = Path(__file__).parents[1] / "cache"
_FONT_FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".local" / "share" / "fonts",
    Path.home() / ".fonts",
    CACHE,
)


class SubjectSource(Protocol):
    """Where the pictures of subjects come from."""

    def picture(self, name: str, symbol: str) -> NDArray[np.uint8]:
        """RGBA picture (h, w, 4) of a subject, longer side `PICTURE_PX` pixels."""
        ...


class FontMissing(RuntimeError):
    """The emoji font is neither installed nor obtainable by package name."""


def find_font() -> Path | None:
    """Path of an installed (or already fetched) colour emoji font."""
    for folder in _FONT_FOLDERS:
        if folder.is_dir():
            found = next(iter(sorted(folder.rglob(FONT_FILE))), None)
            if found is not None:
                return found
    return None


def fetch_font() -> Path:
    """Find the font, or fetch its Debian package by name into the git-ignored cache."""
    found = find_font()
    if found is not None:
        return found
    hint = f"Install the package {FONT_PACKAGE}, or name the file with --font PATH."
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise FontMissing(f"No {FONT_FILE} found and no apt-get to fetch it with. {hint}")
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "download", FONT_PACKAGE], cwd=CACHE, check=True)
        package = max(CACHE.glob(f"{FONT_PACKAGE}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(package), str(CACHE / "font")], check=True)
    except (subprocess.CalledProcessError, ValueError) as error:
        raise FontMissing(f"Fetching {FONT_PACKAGE} failed ({error}). {hint}") from error
    found = find_font()
    if found is None:
        raise FontMissing(f"{FONT_PACKAGE} does not contain {FONT_FILE}. {hint}")
    return found


class EmojiFont:
    """Subject pictures from a colour emoji font."""

    def __init__(self, path: Path) -> None:
        self._font = ImageFont.truetype(str(path), _FONT_BITMAP_PX)
        self._pictures: dict[str, NDArray[np.uint8]] = {}

    def picture(self, name: str, symbol: str) -> NDArray[np.uint8]:
        if name not in self._pictures:
            canvas = Image.new("RGBA", (160, 160))
            ImageDraw.Draw(canvas).text((8, 8), symbol, font=self._font, embedded_color=True)
            box = canvas.getbbox()
            if box is None:
                raise FontMissing(f"The font has no picture for {name!r}.")
            self._pictures[name] = _fit(np.asarray(canvas.crop(box)))
        return self._pictures[name]


class DrawnShapes:
    """Plain filled shapes: each name gets its own form and colour. For tests only."""

    def picture(self, name: str, symbol: str) -> NDArray[np.uint8]:
        return _shape(name)


@lru_cache(maxsize=128)
def _shape(name: str) -> NDArray[np.uint8]:
    seed = sum(ord(letter) * (i + 1) for i, letter in enumerate(name))
    rng = np.random.default_rng(seed)
    picture = np.zeros((PICTURE_PX, PICTURE_PX, 4), np.uint8)
    corners = int(rng.integers(3, 9))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 2 * np.pi)
    middle = PICTURE_PX / 2
    points = middle + (middle - 2) * np.stack([np.cos(angles), np.sin(angles)], 1)
    colour = (*(int(c) for c in rng.integers(0, 256, 3)), 255)
    cv2.fillPoly(picture, [points.astype(np.int32)], colour, lineType=cv2.LINE_AA)
    return picture


def _fit(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale (h, w, 4) so that the longer side is `PICTURE_PX`."""
    height, width = picture.shape[:2]
    factor = PICTURE_PX / max(height, width)
    size = (round(width * factor), round(height * factor))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
