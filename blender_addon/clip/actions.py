"""What the session asks for; `pump` does it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared_protocol.messages import Request, Style
from shared_protocol.wire import Buffer

from .pictures import Pictures


@dataclass(frozen=True)
class Reach:
    """Find or start the backend and open the connection."""


@dataclass(frozen=True)
class HangUp:
    """Close the connection."""


@dataclass(frozen=True)
class Send:
    """Send this request."""

    request: Request


@dataclass(frozen=True)
class Read:
    """Have the pictures read that the job starts from, and brought to the backend; answer with `pictures_read` or
    `could_not_read`."""

    job: str
    pictures: Pictures
    width: int
    height: int
    """Of the clip, pixels."""


@dataclass(frozen=True)
class Write:
    """Write this frame; answer with `wrote` or `could_not_write`."""

    job: str
    index: int
    data: Buffer


@dataclass(frozen=True)
class Copy:
    """Have the frames copied from where the backend keeps them; answer with `copied` or `could_not_copy`."""

    job: str
    source: str
    """The backend's folder, on this computer."""


@dataclass(frozen=True)
class Tidy:
    """The job ended without its frames: remove its folder if nothing is in it, and read no more pictures for it."""

    job: str


@dataclass(frozen=True)
class LookForBackend:
    """Reach for a backend that somebody has started, but start none."""


@dataclass(frozen=True)
class KeepStyles:
    """Remember the styles for the next start of Blender."""

    styles: tuple[Style, ...]


@dataclass(frozen=True)
class KeepThumbnail:
    """Remember the picture of a style."""

    sha256: str
    data: bytes


Action = Reach | LookForBackend | HangUp | Send | Read | Copy | Write | Tidy | KeepStyles | KeepThumbnail
