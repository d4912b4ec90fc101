"""Pictures for a person to look at, and conversions between pixels and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """float (n, 3, h, w) in -1..1 to uint8 (n, h, w, 3)."""
    scaled = ((images.detach().float().clamp(-1, 1) + 1) * 127.5).round()
    return np.asarray(scaled.byte().permute(0, 2, 3, 1).numpy())


def save_sheet(rows: Sequence[NDArray[np.uint8]], path: Path, zoom: int = 2) -> None:
    """A contact sheet: each row a stack of frames (n, h, w, 3), all rows equally long."""
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    image = Image.fromarray(sheet)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.png")
    image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST).save(temporary)
    temporary.replace(path)
