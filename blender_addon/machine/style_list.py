"""The styles that a backend told last, and their pictures, so that the panel has them before one runs. No bpy."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import msgspec

from shared_protocol.machine import files
from shared_protocol.messages import Style

log = logging.getLogger(__name__)

PNG = b"\x89PNG\r\n\x1a\n"


class StyleList:
    """Kept in a folder, or nowhere. What cannot be kept bothers no artist: the backend tells it again."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / "styles.json" if folder else None
        self._pictures = folder / "thumbnails" if folder else None

    def read(self) -> tuple[Style, ...]:
        """The kept list, or none."""
        if self._file is None:
            return ()
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=tuple[Style, ...])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return ()

    def keep(self, styles: tuple[Style, ...]) -> list[str]:
        """Keep the list in one step, and pictures of its styles alone. Returns the hashes of those that are not
        here."""
        if self._file is None or self._pictures is None:
            return []
        wanted = {style.thumbnail for style in styles if style.thumbnail}
        try:
            files.write(self._file, msgspec.json.encode(styles), durable=False)
            for old in self._pictures.glob("*.png"):
                if old.stem not in wanted:
                    old.unlink(missing_ok=True)
        except OSError as error:
            log.warning("The list of styles was not kept: %s", error)
        return sorted(sha256 for sha256 in wanted if self.picture(sha256) is None)

    def picture(self, sha256: str) -> Path | None:
        """The file of a style's picture, if it is here."""
        path = self._pictures / f"{sha256}.png" if self._pictures and sha256 else None
        return path if path is not None and path.is_file() else None

    def keep_picture(self, sha256: str, data: bytes) -> None:
        """Keep a picture of this hash. Whatever is no such PNG is left out: Blender is to read it."""
        if self._pictures is None or not data.startswith(PNG) or hashlib.sha256(data).hexdigest() != sha256:
            return
        try:
            self._pictures.mkdir(parents=True, exist_ok=True)
            files.write(self._pictures / f"{sha256}.png", data, durable=False)
        except OSError as error:
            log.warning("A style's picture was not kept: %s", error)
