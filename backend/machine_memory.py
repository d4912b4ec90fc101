"""How much memory this machine has."""

from __future__ import annotations

import psutil  # accelerate needs it, so it is always there


def machine_memory() -> int:
    """Bytes in all."""
    return int(psutil.virtual_memory().total)
