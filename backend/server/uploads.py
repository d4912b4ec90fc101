"""Pictures that clients have sent, each stored once under its hash.

A picture comes in parts. It lies in `.partial-HASH-SENDER` until all of it is there and has been checked; then it is
`HASH.png`. No name from a client is used, only hashes. One thread of one process uses a store.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import time
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from shared_protocol.machine import files
from shared_protocol.messages import MAX_UPLOAD_BYTES

from ..failures import Denial

MAX_PARTIAL = 64
"""Uploads of one sender under way at once."""
MAX_OF_KEY = 1024
"""And of all senders of one key."""
SHARE = 4
"""The part of all room that the unfinished uploads of one key may take."""
IDLE_SECONDS = 600.0
"""After so long without a part, an upload gives its place to another that needs it."""
OLD_SECONDS = 86_400.0
"""Unfinished uploads of earlier starts are kept so long."""
MAX_SIDE = 8192
"""Pixels, as messages.SidePx has it."""
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG_HEADER_BYTES = 33
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PARTIAL_NAME = re.compile(r"\.partial-([0-9a-f]{64})-([0-9a-f]{16})")


class UploadRefused(Denial):
    """A picture is not taken. `sentence` says why, `next_step` what to do."""

    def __init__(self, detail: str, step: str) -> None:
        super().__init__("upload_refused", detail=detail, step=step)


@dataclass
class _Upload:
    """A picture of which a part is there."""

    path: Path
    size: int
    """Bytes in all, as announced; 0 for what an earlier start has left, until it is offered again."""
    there: int
    """Bytes on the disk."""
    active: float
    """When its last part came."""
    whose: str = ""
    """The key of its sender; empty for what an earlier start has left."""


class Uploads:
    """The folder of pictures. Methods raise OSError as it comes, ValueError for what is no SHA-256 in hex digits."""

    def __init__(self, root: Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        """max_bytes: of all pictures together. clock: seconds since 1970. Makes `root` if it is missing."""
        files.make_folder(root)
        self._root = root
        self._max_bytes = max_bytes
        self._clock = clock
        self._files: dict[str, int] = {}
        """Hash → bytes of the pictures that are there, the least recently used first."""
        self._uploads: dict[tuple[str, str], _Upload] = {}
        """(hash, sender) → what is under way."""
        self._look()

    def offer(self, sha256: str, size: int, needed: Collection[str] = (), sender: str = "", *, whose: str = "") -> int:
        """Begin to send a picture, or go on. Returns the bytes that are there, from which to go on; all: `size`.

        size: bytes in all.
        needed: hashes that unfinished jobs will read. Others are deleted, the least recently used first, if there is
            no room.
        sender: who sends it. Parts of two senders are kept apart, so that none can spoil the other's picture.
        whose: the sender's key, which can have so much under way and no more, whatever others have.
        Raises UploadRefused.
        """
        if self.path(sha256) is not None:
            if self._files[sha256] != size:
                raise UploadRefused("the file with this hash has another size", "Send the picture again")
            return size
        if not 1 <= size <= MAX_UPLOAD_BYTES:
            raise UploadRefused(f"it has {size} bytes, and {MAX_UPLOAD_BYTES} are the most", "Choose a smaller picture")
        key = (sha256, _short(sender))
        upload = self._uploads.get(key)
        if upload is not None and upload.there >= size:
            self._drop(key)  # no beginning of this file, or all of it and never checked
            upload = None
        self._check_share(key, size, whose)
        self._make_room(key, size, needed)
        if upload is None:
            upload = self._begin(key, size)
        upload.size, upload.whose = size, whose
        upload.active = self._clock()
        return upload.there

    def append(self, sha256: str, offset: int, data: bytes | memoryview, sender: str = "") -> int:
        """Take the next part of an offered picture. Returns the bytes that are there now.

        A part that does not begin where the last one ended changes nothing: its sender goes on from what is returned.
        With the last part the picture is checked; what is not as announced is deleted. Raises UploadRefused.
        """
        if self.path(sha256) is not None:
            return self._files[sha256]
        key = (sha256, _short(sender))
        upload = self._uploads.get(key)
        if upload is None or not upload.size:
            raise UploadRefused("it was not offered before", "Offer it first")
        if offset != upload.there:
            return upload.there
        if offset + len(data) > upload.size:
            self._drop(key)
            raise UploadRefused("it is longer than was announced", "Send it again")
        upload.active = self._clock()
        with upload.path.open("r+b") as file:
            file.seek(offset)
            file.write(data)
        if offset + len(data) == upload.size:
            self._finish(key, upload)
        upload.there += len(data)  # last, so that after an error its sender sends this part again
        return upload.there

    def path(self, sha256: str) -> Path | None:
        """The file of a picture that is there, which counts as used now; None if it is not."""
        path = self._path(sha256)
        if sha256 not in self._files:
            return None
        size = self._files.pop(sha256)
        try:
            os.utime(path, (self._clock(),) * 2)
        except FileNotFoundError:
            return None  # somebody has deleted it
        self._files[sha256] = size
        return path

    def _look(self) -> None:
        """Find what earlier starts have left."""
        files = sorted((file.stat().st_mtime, file) for file in self._root.iterdir() if file.is_file())
        for changed, path in files:
            size = path.stat().st_size
            if path.suffix == ".png" and _SHA256.fullmatch(path.stem):
                self._files[path.stem] = size
            elif part := _PARTIAL_NAME.fullmatch(path.name):
                self._uploads[part[1], part[2]] = _Upload(path, 0, size, changed)
        self._drop_idle(self._clock() - OLD_SECONDS)

    def _make_room(self, key: tuple[str, str], size: int, needed: Collection[str]) -> None:
        """Delete pictures until there is room for the upload `key` of `size` bytes. Raises UploadRefused before any is
        deleted."""
        excess = self._excess(key, size)
        if excess > 0:
            self._drop_idle(self._clock() - IDLE_SECONDS, but=key)
            excess = self._excess(key, size)
        dropped = []
        for sha256, its_bytes in self._files.items():
            if excess <= 0:
                break
            if sha256 not in needed:
                dropped.append(sha256)
                excess -= its_bytes
        if excess > 0:
            raise UploadRefused(
                "there is no room beside the pictures of unfinished jobs", "Wait until a job has ended, and try again"
            )
        for sha256 in dropped:
            self._path(sha256).unlink(missing_ok=True)
            del self._files[sha256]

    def _excess(self, key: tuple[str, str], size: int) -> int:
        """Bytes too many, with an upload `key` of `size` bytes."""
        others = sum(max(upload.size, upload.there) for other, upload in self._uploads.items() if other != key)
        return sum(self._files.values()) + others + size - self._max_bytes

    def _check_share(self, key: tuple[str, str], size: int, whose: str) -> None:
        """Raise UploadRefused if an upload would be more than one key may have under way."""
        for since in (float("-inf"), self._clock() - IDLE_SECONDS):
            self._drop_idle(since, but=key, whose=whose)
            others = {other: one for other, one in self._uploads.items() if one.whose == whose and other != key}
            there = sum(max(upload.size, upload.there) for upload in others.values())
            few = len(others) < MAX_OF_KEY and sum(other[1] == key[1] for other in others) < MAX_PARTIAL
            if few and (not others or not whose or there + size <= self._max_bytes // SHARE):
                return
        raise UploadRefused("too many others are being sent", "Try again in a moment")

    def _begin(self, key: tuple[str, str], size: int) -> _Upload:
        now = self._clock()
        path = self._root / f".partial-{key[0]}-{key[1]}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        upload = self._uploads[key] = _Upload(path, size, 0, now)
        return upload

    def _drop_idle(self, since: float, but: tuple[str, str] | None = None, whose: str | None = None) -> None:
        """Delete the uploads of which no part has come since then; `whose`: those of one key."""
        now = self._clock()
        for key, upload in list(self._uploads.items()):
            upload.active = min(upload.active, now)  # the clock may have been set back meanwhile
            if upload.active < since and key != but and whose in (None, upload.whose):
                self._drop(key)

    def _finish(self, key: tuple[str, str], upload: _Upload) -> None:
        """Check a picture and give it its name. Raises UploadRefused."""
        sha256 = key[0]
        with upload.path.open("r+b") as file:
            os.fsync(file.fileno())
            hashed = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            header = file.read(PNG_HEADER_BYTES)
        if hashed != sha256:
            self._drop(key)
            raise UploadRefused("its bytes do not have the announced hash", "Send it again")
        try:
            _check_png(header)
        except UploadRefused:
            self._drop(key)
            raise
        files.move(upload.path, self._path(sha256))
        files.sync_folder(self._root)
        del self._uploads[key]
        self._files[sha256] = upload.size
        for other in [other for other in self._uploads if other[0] == sha256]:
            self._drop(other)

    def _drop(self, key: tuple[str, str]) -> None:
        self._uploads.pop(key).path.unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise ValueError("a SHA-256 has 64 hex digits")
        return self._root / f"{sha256}.png"


def _check_png(header: bytes) -> None:
    """Raise UploadRefused if these 33 bytes do not begin an 8-bit PNG file, or a side has 0 or over 8192 pixels."""
    if len(header) < PNG_HEADER_BYTES or not header.startswith(PNG_START):
        raise UploadRefused("it is no PNG file", "Save it as an 8-bit PNG")
    width, height, depth, colours, compression, filters, interlace, check = struct.unpack(">II5BI", header[16:33])
    if zlib.crc32(header[12:29]) != check or colours not in (0, 2, 3, 4, 6) or compression or filters or interlace > 1:
        raise UploadRefused("it is a damaged PNG file", "Save it anew as an 8-bit PNG")
    if depth != 8:
        raise UploadRefused(f"it has {depth} bits a channel", "Save it as an 8-bit PNG")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise UploadRefused(
            f"it has {width} × {height} pixels, and {MAX_SIDE} a side are the most", "Choose a smaller picture"
        )


def _short(sender: str) -> str:
    """A name for files, whatever the sender is called."""
    return hashlib.sha256(sender.encode()).hexdigest()[:16]
