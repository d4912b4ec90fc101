"""What the system refuses now and may grant in a moment."""

from __future__ import annotations

import errno

OPENCV_NO_MEMORY = -4
"""`cv2.Error.StsNoMem`, without importing OpenCV."""
UNLOADED = ("Cannot allocate memory", "failed to map segment", "cannot allocate memory in static TLS block")
"""What the dynamic loader says where there is no room for a library (glibc's dl-load.c, dl-tls.c)."""
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EINTR, errno.EAGAIN}


def passes(error: BaseException | None) -> bool:
    """Whether it, or what it came from, may be over the next time."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in PASSING):
            return True
        error = error.__cause__
    return False


def lacks_memory(error: BaseException | None) -> bool:
    """Whether it says, or what it came from, that there was no memory: for Python, the system, OpenCV, or for a library
    that should be loaded."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        if type(error).__module__ == "cv2" and getattr(error, "code", None) == OPENCV_NO_MEMORY:
            return True
        if isinstance(error, ImportError) and any(sign in str(error) for sign in UNLOADED):
            return True
        error = error.__cause__
    return False
