"""Which GPUs does this machine have? Asked without torch, to choose its build."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.installer.children import ask

ROOT = Path("/")
"""Of the file system in which a Linux shows its devices."""
LEAST_MEMORY = 2 << 30
"""Bytes of its own that a card of AMD's has: what sits in a processor is given less."""
INTEGRATED = "0000:00:02.0"
"""Where Intel's integrated graphics always sits on the PCI bus."""


@dataclass(frozen=True)
class Nvidia:
    """NVIDIA's GPUs."""

    driver: int = 0
    """Its main version, such as 580; 0: it does not say."""
    capability: tuple[int, int] | None = None
    """The least compute capability of all cards; None: the driver does not say."""


@dataclass(frozen=True)
class Gpus:
    """What a build of torch could use."""

    nvidia: Nvidia | None = None
    amd: bool = False
    intel: bool = False

    @property
    def kind(self) -> str:
        """The kind of build that fits: "cuda", "rocm", "xpu" or "cpu"."""
        return "cuda" if self.nvidia else "rocm" if self.amd else "xpu" if self.intel else "cpu"


def found() -> Gpus:
    """Look. Intel's and AMD's are found on Linux alone."""
    cards = list(_cards()) if sys.platform == "linux" else []
    return Gpus(nvidia=nvidia(), amd=_has_amd(cards), intel=_has_intel(cards))


def nvidia() -> Nvidia | None:
    """NVIDIA's GPUs, asked of their driver; None: there are none, or the driver is not installed."""
    program = _nvidia_smi()
    for asked in ("driver_version,compute_cap", "driver_version") if program else ():  # old drivers know one alone
        said = ask([str(program), f"--query-gpu={asked}", "--format=csv,noheader"], timeout_s=20) or ""
        rows = [row for line in said.splitlines() if (row := re.match(r"(\d+)\.[\d.]+(?:, *(\d+)\.(\d+))?", line))]
        if rows:
            capabilities = [(int(row[2]), int(row[3])) for row in rows if row[2]]
            return Nvidia(int(rows[0][1]), min(capabilities, default=None))
    if sys.platform == "linux" and any((ROOT / "proc/driver/nvidia/gpus").glob("*")):
        version = re.search(r"Kernel Module.*?\s(\d+)\.\d", _text(ROOT / "proc/driver/nvidia/version"))
        return Nvidia(int(version[1]) if version else 0)
    return None


def _nvidia_smi() -> str | None:
    """The driver's program; Windows and its Linux have it where no PATH leads."""
    if sys.platform == "win32":
        places = [Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "nvidia-smi.exe"]
    else:
        places = [ROOT / "usr/lib/wsl/lib/nvidia-smi"]
    return shutil.which("nvidia-smi") or next((str(place) for place in places if place.exists()), None)


def _cards() -> Iterator[Path]:
    """The folders of devices that draw."""
    for card in sorted((ROOT / "sys/class/drm").glob("card*")):
        if re.fullmatch(r"card\d+", card.name):  # card0-HDMI-A-1 is a socket
            yield card / "device"


def _has_amd(cards: list[Path]) -> bool:
    """A card with memory of its own, and the driver that computes on it."""
    memory = [_text(card / "mem_info_vram_total") for card in cards if _text(card / "vendor") == "0x1002"]
    return (ROOT / "dev/kfd").exists() and any(size.isdigit() and int(size) >= LEAST_MEMORY for size in memory)


def _has_intel(cards: list[Path]) -> bool:
    """A card; what is integrated in a processor is left alone."""
    return any(_text(card / "vendor") == "0x8086" and card.resolve().name != INTEGRATED for card in cards)


def _text(file: Path) -> str:
    """What a file says, or nothing."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
