"""Commands whose reader has left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path


def unread(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command whose output nobody reads any longer."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(command, cwd=folder, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)
