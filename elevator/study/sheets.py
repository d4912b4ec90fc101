"""Pictures of the study: nobody chooses what they show; prompts, seeds and moments are fixed beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..pixels import Pixels
from .arms import MAIN, MAIN_TITLES, Table
from .prompts import StudyPrompt
from .renders import moments
from .running import Cast, Study

GAP, HEADER, FONT_PX = 6, 18, 13
LEAST_PX = 64
"""Smaller frames are enlarged to it, larger ones made smaller to twice of it."""
Row: TypeAlias = Sequence[NDArray[np.uint8] | None]


def strip_of(study: Study, found: Cast, t2v: str, arm: str, prompt: StudyPrompt, seed: int) -> Pixels | None:
    """The frames (F, H, W, 3) of a shown clip; None where it is not made."""
    recipe = found.recipes.get((t2v, arm))
    if recipe is None:
        return None
    path = study.picture(recipe.key, prompt, seed)
    if not path.exists():
        return None
    with Image.open(path) as picture:
        strip = np.asarray(picture.convert("RGB"))
    return np.stack(np.split(strip, recipe.frames, axis=1))


def contact_sheet(
    study: Study, found: Cast, t2v: str, arms: Sequence[str], path: Path, titles: Sequence[str] | None = None
) -> bool:
    """A row for each shown prompt of which any clip is made, and four moments of each arm side by side.

    Titles of the arms are their names if not given. Returns whether there was anything to show.
    """
    rows = []
    for prompt, seed in study.shown:
        clips = [strip_of(study, found, t2v, arm, prompt, seed) for arm in arms]
        if any(clip is not None for clip in clips):
            rows.append([None if clip is None else _side_by_side(clip[moments(len(clip))]) for clip in clips])
    return _save(rows, titles or arms, path)


def strips(study: Study, found: Cast, t2v: str, arms: Sequence[str], path: Path) -> bool:
    """All frames of the first shown prompt, an arm below the other. Whether there was anything to show."""
    prompt, seed = study.shown[0]
    clips = {arm: strip_of(study, found, t2v, arm, prompt, seed) for arm in arms}
    shown = {arm: clip for arm, clip in clips.items() if clip is not None}
    if not shown:
        return False
    lines = [_titled(_side_by_side(clip), arm) for arm, clip in shown.items()]
    width = max(line.width for line in lines)
    sheet = Image.new("RGB", (width, sum(line.height for line in lines)), "white")
    top = 0
    for line in lines:
        sheet.paste(line, (0, top))
        top += line.height
    _write(sheet, path)
    return True


def main_picture(study: Study, found: Cast, t2v: str, path: Path) -> bool:
    """T2V alone, T2I per frame, elevated, elevated with a style: four moments each."""
    return contact_sheet(study, found, t2v, [arm.name for arm in MAIN], path, MAIN_TITLES)


def tables_pictures(study: Study, found: Cast, table: Table, t2v: str, stem: str) -> list[str]:
    """A table's contact sheet and strips; returns the names of those that there are."""
    arms = [arm.name for arm in table.arms]
    made = []
    for kind, draw in (("sheet", contact_sheet), ("strips", strips)):
        name = f"{stem}_{kind}.png"
        if draw(study, found, t2v, arms, study.out / name):
            made.append(name)
    return made


def _side_by_side(frames: Pixels) -> NDArray[np.uint8]:
    """(F, H, W, 3) as (H, F · W, 3), of a size for looking at."""
    height, width = frames.shape[1:3]
    factor = max(1, -(-LEAST_PX // min(height, width))) if min(height, width) < LEAST_PX else 1
    shrink = max(1.0, max(height, width) / (2 * LEAST_PX)) if factor == 1 else 1.0
    size = (round(width * factor / shrink), round(height * factor / shrink))
    way = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BOX
    return np.concatenate([np.asarray(Image.fromarray(frame).resize(size, way)) for frame in frames], axis=1)


def _save(rows: Sequence[Row], titles: Sequence[str], path: Path) -> bool:
    there = [cell for row in rows for cell in row if cell is not None]
    if not there:
        return False
    height, width = there[0].shape[:2]
    columns = len(titles)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, HEADER + len(rows) * (height + GAP) - GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PX)
    for column, title in enumerate(titles):
        draw.text((column * (width + GAP), 0), title, fill="black", font=font)
        for row, cells in enumerate(rows):
            cell = cells[column]
            picture = Image.new("RGB", (width, height), "lightgray") if cell is None else Image.fromarray(cell)
            sheet.paste(picture, (column * (width + GAP), HEADER + row * (height + GAP)))
    _write(sheet, path)
    return True


def _titled(picture: NDArray[np.uint8], title: str) -> Image.Image:
    image = Image.fromarray(picture)
    made = Image.new("RGB", (image.width, image.height + HEADER), "white")
    ImageDraw.Draw(made).text((0, 0), title, fill="black", font=ImageFont.load_default(FONT_PX))
    made.paste(image, (0, HEADER))
    return made


def _write(sheet: Image.Image, path: Path) -> None:
    temporary = path.with_suffix(".part.png")
    sheet.save(temporary, optimize=True)
    temporary.replace(path)
