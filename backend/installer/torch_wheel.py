"""Which torch? The default wheel for Linux brings gigabytes of CUDA that a machine without a GPU has no use for."""

from __future__ import annotations

import queue
import re
import shutil
import sys
import threading
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.installer.children import ask
from backend.installer.problem import Problem

PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
LIMIT_S = 10.0
DEFAULT_SIZE = "about 2.7 GB to download, 6 GB on disk"


@dataclass(frozen=True)
class Choice:
    """Where pip shall look for torch, and why, in one line."""

    pip_arguments: tuple[str, ...]
    why: str


def choose(
    lock: Path,
    pip: Sequence[str | Path],
    given_index: str | None,
    *,
    has_gpu: Callable[[], bool] | None = None,
    answers: Callable[[str], bool] | None = None,
) -> Choice:
    """Decide. `pip` is the command that will install it."""
    has_gpu, answers = has_gpu or has_nvidia_gpu, answers or reachable
    if given_index and (has_gpu() or sys.platform != "linux"):
        return Choice(("--extra-index-url", given_index), "torch: from the given index.")
    if sys.platform != "linux":
        return Choice((), "torch: this system's usual build.")
    if has_gpu():
        return Choice((), f"torch: built with CUDA, for this machine's NVIDIA GPU ({DEFAULT_SIZE}).")
    if pip_finds_cpu_wheel(lock, pip):
        return Choice((), "torch: built for the CPU.")
    if given_index:
        return Choice(("--extra-index-url", given_index), "torch: from the given index.")
    if answers(PYTORCH_CPU_INDEX):
        return Choice(("--extra-index-url", PYTORCH_CPU_INDEX), "torch: built for the CPU, from PyTorch's own index.")
    return Choice(
        (),
        "torch: PyTorch's CPU index does not answer, so the usual build with CUDA comes: "
        f"{DEFAULT_SIZE}. Ctrl-C and --torch-index URL avoid that.",
    )


def pinned_version(lock: Path) -> str:
    """The torch that the lock file names."""
    match = re.search(r"^torch==([\w.]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise Problem(f"{lock} does not pin torch: get the file from the repository again.")
    return match[1]


def has_nvidia_gpu() -> bool:
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def pip_finds_cpu_wheel(lock: Path, pip: Sequence[str | Path]) -> bool:
    """Whether pip's own configuration (index, wheel folder) offers a CPU build. Downloads no wheel."""
    listed = ask([*pip, "index", "versions", "torch", "--disable-pip-version-check"], timeout_s=60) or ""
    return f"{pinned_version(lock)}+cpu" in re.split(r"[\s,()]+", listed)


def reachable(index: str) -> bool:
    """Whether the index answers within the limit, name look-up and handshake included."""
    outcome: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def knock() -> None:
        try:
            with urllib.request.urlopen(f"{index}/torch/", timeout=LIMIT_S):
                outcome.put(True)
        except OSError:
            outcome.put(False)

    # Looking up a name cannot be given a limit, so a thread does it and is left behind when it is late.
    threading.Thread(target=knock, daemon=True).start()
    try:
        return outcome.get(timeout=LIMIT_S)
    except queue.Empty:
        return False
