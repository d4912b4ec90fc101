"""What the system refuses now and may grant in a moment."""

from __future__ import annotations

import errno

PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EINTR, errno.EAGAIN}


def passes(error: BaseException | None) -> bool:
    """Whether it, or what it came from, may be over the next time."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in PASSING):
            return True
        error = error.__cause__
    return False
