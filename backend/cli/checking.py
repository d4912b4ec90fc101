"""Is a clip possible? The backend's own checks, without a backend."""

from __future__ import annotations

import hashlib
from pathlib import Path

from shared_protocol import mistakes, wire
from shared_protocol.errors import ProtocolError
from shared_protocol.messages import Generate

from ..client.api import Wish
from ..client.uploading import read_picture
from ..failures import Failure
from ..orders import Sample
from ..server.requests import resolve
from ..styles.catalogue import Catalogue


def check(wish: Wish, catalogue: Catalogue, *, fake: bool) -> tuple[Generate, Sample]:
    """The request and the order that a backend with these styles would make of it. Raises BackendError."""
    recipe = catalogue.recipes.get(wish.style)
    pictures: dict[str, Path] = {}
    request = wish.request(recipe.style if recipe else None, lambda path: _hashed(path, pictures))
    check_limits(request)
    order, _ = resolve(request, catalogue, fake=fake, upload=pictures.get)
    return request, order


def check_limits(request: Generate) -> None:
    """Raises BackendError if a field is outside of what the protocol allows."""
    try:
        wire.decode_request(wire.encode(request))
    except (ProtocolError, ValueError) as error:
        raise Failure("bad_request", detail=mistakes.of_request(error.__cause__ or error).rstrip(".")) from error


def _hashed(path: Path, pictures: dict[str, Path]) -> str:
    sha256 = hashlib.sha256(read_picture(path)).hexdigest()
    pictures[sha256] = path
    return sha256
