"""Pictures to start from, on their way to the backend."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from elevator.pictures.clip_folder import pictures_in
from elevator.pictures.png import fault
from shared_protocol.messages import MAX_UPLOAD_BYTES, Chunk, Offer
from shared_protocol.wire import CHUNK_BYTES, Buffer

from .failures import ClientFailure

FootagePaths: TypeAlias = Sequence[str | PathLike[str]] | str | PathLike[str]
"""PNG files in their order, or a folder of them."""
Piece: TypeAlias = tuple[Offer | Chunk, Sequence[Buffer]]
WINDOW = 4
"""How many chunks are under way at once."""


def footage_files(footage: FootagePaths) -> list[Path]:
    """The PNG files that are meant: those given, or those of a folder. Raises BackendError."""
    given = [footage] if isinstance(footage, str | PathLike) else footage
    paths = [Path(path) for path in given]
    if len(paths) != 1 or not paths[0].is_dir():
        return paths
    found = list(pictures_in(paths[0]))
    if not found:
        raise ClientFailure("no_picture", file=paths[0], detail="holds no PNG picture")
    return found


def read_picture(path: Path) -> bytes:
    """The bytes of a PNG file. Raises BackendError if it is none, or too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_UPLOAD_BYTES + 1)
    except OSError as error:
        raise ClientFailure("no_picture", file=path, detail=f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_UPLOAD_BYTES:
        raise ClientFailure("no_picture", file=path, detail="is too large")
    if (why := fault(data)) is not None:
        raise ClientFailure("no_picture", file=path, detail=why)
    return data


def send_file(data: bytes, send: Callable[[Sequence[Piece]], int]) -> str:
    """Bring a file to the backend, or what it has not got of it yet. Its SHA-256, by which requests name it.

    send: sends requests and returns how many bytes of the file the backend has then. Raises BackendError.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    have = send([(Offer(sha256=sha256, size=len(data)), ())])
    view = memoryview(data)
    while have < len(data):
        offsets = range(have, min(have + WINDOW * CHUNK_BYTES, len(data)), CHUNK_BYTES)
        now = send([(Chunk(sha256=sha256, offset=at), (view[at : at + CHUNK_BYTES],)) for at in offsets])
        if now <= have:
            raise ClientFailure("no_upload")
        have = now
    return sha256
