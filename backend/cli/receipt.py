"""`job.json` beside the frames of a batch's row, `NAME.mp4.job.json` beside a film: which job it was, and whether its
clip is whole."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from elevator.pictures.clip_folder import frames_in, is_film
from shared_protocol.machine import files
from shared_protocol.messages import JobId, LoraChoice

from ..client.failures import cannot_write
from ..client.uploading import footage_files, read_picture
from .batch_file import Row

NAME = "job.json"
MAX_BYTES = 1 << 20


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What `job.json` says."""

    job: JobId
    asked: dict[str, Any]
    """What the row asked for, files by their hashes."""
    frames: int = 0
    """Of the clip that lies here; 0: it has not come yet."""
    seed: int = 0
    """Of the clip that lies here."""

    def is_whole(self, out: Path) -> bool:
        """Whether all frames of the clip lie in the folder, or its film is there."""
        return self.frames > 0 and (out.is_file() if is_film(out) else self.frames == len(frames_in(out)))


def _place(out: Path) -> Path:
    return out.with_name(f"{out.name}.{NAME}") if is_film(out) else out / NAME


def read_receipt(out: Path) -> Receipt | None:
    """The receipt of a clip's folder or film, or None if there is none that can be used."""
    try:
        with _place(out).open("rb") as file:
            return msgspec.json.decode(file.read(MAX_BYTES), type=Receipt)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def write_receipt(out: Path, receipt: Receipt) -> None:
    """Write the receipt, whole or not at all. Raises BackendError."""
    try:
        files.write(_place(out), msgspec.json.format(msgspec.json.encode(receipt)))
    except OSError as error:
        raise cannot_write(_place(out).parent, error) from error


def asked_of(row: Row) -> dict[str, Any]:
    """What a row asks for, in a form that can be compared. Raises BackendError if its pictures cannot be read."""
    wish = row.wish
    asked = {
        "prompt": wish.prompt,
        "negative_prompt": wish.negative_prompt,
        "style": wish.style,
        "preset": wish.preset,
        "frames": wish.frames,
        "width": wish.width,
        "height": wish.height,
        "seed": wish.seed,
        "settings": dict(wish.settings),
        "loras": [[lora.name, lora.weight] for lora in wish.loras if isinstance(lora, LoraChoice)],
        "footage": [_hash(path) for path in footage_files(wish.footage)[: wish.frames]],
        "strength": wish.strength,
        "anchor": None if wish.anchor is None else _hash(Path(wish.anchor)),
        "fps": None if row.fps is None else str(row.fps),
    }
    asked = msgspec.json.decode(msgspec.json.encode(asked))  # as it will be read again
    assert isinstance(asked, dict)
    return asked


def _hash(path: Path) -> str:
    return hashlib.sha256(read_picture(path)).hexdigest()
