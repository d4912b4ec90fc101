"""Where things lie in this clone, and which versions belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BACKEND_PYTHON = (3, 11)
"""The oldest Python that the backend's packages run on."""
BPY_PYTHON = (3, 11)
"""The one Python for which bpy modules before 5.1 are built."""
BLENDER_MINIMUM = (4, 2)
"""The oldest Blender that the extension runs in."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment of this clone and what belongs into it."""

    folder: Path
    lock: Path
    """Every package with its exact version."""
    python: tuple[int, int]
    exactly: bool
    """Whether newer Pythons are unfit."""
    room_gb: float
    """Disk space that making it takes."""
    package: str = ""
    """One more pinned package, which differs between environments that share a lock file."""
    torch_lock: Path | None = None
    """torch's version, of which there are builds in several indexes: its own lock, for it cannot have hashes. What it
    needs besides is in `lock`."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def wanted(self) -> str:
        """All that belongs into it, as lock files say it."""
        locks = [self.lock, *([self.torch_lock] if self.torch_lock else [])]
        return "\n".join([*(lock.read_text(encoding="utf-8") for lock in locks), self.package])


BACKEND = Environment(
    folder=ROOT / ".venv",
    lock=ROOT / "requirements.lock",
    python=BACKEND_PYTHON,
    exactly=False,
    room_gb=2.5,
    torch_lock=ROOT / "torch.lock",
)


def _blender(version: str, lock: str = "blender.lock", python: tuple[int, int] = BPY_PYTHON) -> Environment:
    """The environment in which the bpy module of this version stands in for Blender."""
    return Environment(
        folder=ROOT / f".venv-blender-{version}",
        lock=ROOT / lock,
        package=f"bpy=={version}",
        python=python,
        exactly=True,
        room_gb=1.6,
    )


BLENDER = _blender("5.0.1")
"""For the demo and all tests."""
OLD_BLENDER = _blender("4.2.23")
"""The oldest one, for those tests that say so."""
LTS_BLENDER = _blender("4.5.15")
"""This and the next: only for `install.py test --long`."""
NEWEST_BLENDER = _blender("5.3.0", lock="blender-python-3.13.lock", python=(3, 13))

BUILD = ROOT / "build"
"""Everything that can be made again: logs, locks, the extension zip."""
LOGS = BUILD / "logs"
