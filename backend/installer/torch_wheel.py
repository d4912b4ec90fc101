"""Which build of torch? Each kind of GPU needs one of its own, and a machine without a GPU has no use for gigabytes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.installer import gpus
from backend.installer.children import ask
from backend.installer.gpus import Gpus, Nvidia
from backend.installer.problem import Problem
from backend.installer.torch_build import TorchBuild

INDEX = "https://download.pytorch.org/whl"
"""PyTorch's own wheels: the name of a build behind it gives the index that has this build alone."""
KINDS = ("auto", "cpu", "cuda", "rocm", "xpu")
"""What can be asked for. auto: what this machine's GPU needs."""
ROCM = ("rocm7.2", "rocm7.1")
"""The newest first."""
CUDA_13_DRIVER = 580
"""The oldest driver that runs CUDA 13."""
CUDA_13_CARD = (7, 5)
"""The oldest cards that it runs on, by compute capability."""
CUDA_12_CARD = (9, 0)
"""The newest cards that the build with CUDA 12.6 was made for."""
LIMIT_S = 60.0
"""How long pip may look for builds in one index."""
ROOM_GB = {"cpu": 0.0, "cuda": 8.0, "rocm": 16.0, "xpu": 8.0}
"""Disk space that a build takes, with what it needs, beyond that of the other packages."""
HINT = (
    f" It knows no GPU as new as this one: with a driver of {CUDA_13_DRIVER} or newer, start again with --torch cuda."
)
BUILD, FROM = "torch", "torch index"
"""What stands in an environment's stamp: the build that was wanted, and the index that a person has named."""
USUAL_SIZE = "about 2.7 GB to download, 6 GB on disk"
"""Of the build for Linux that comes if none is named."""


@dataclass(frozen=True)
class Wish:
    """What a person says about torch. Empty: nothing, so that what is there stays."""

    kind: str = ""
    """One of KINDS."""
    index: str = ""
    """Where to look instead of PyTorch's own index."""


NO_WISH = Wish()


@dataclass(frozen=True)
class Choice:
    """What pip is told about torch, and why, in one line."""

    pip_arguments: tuple[str, ...]
    why: str
    noted: Mapping[str, str]
    """What the environment's stamp says of it."""
    room_gb: float = 0.0
    """Disk space that it takes beyond that of the other packages."""


def settled(wish: Wish, found: Callable[[], Gpus] = gpus.found) -> Mapping[str, str]:
    """What the stamp of an environment says in which this wish is fulfilled: nothing but what was wished.

    Raises Problem if this system has no such build.
    """
    build = {BUILD: _wanted(wish, found)[1][0]} if wish.kind else {}
    return {**build, FROM: wish.index} if wish.index else build


def wish_of(noted: Mapping[str, str]) -> Wish:
    """What was wished for, by what a stamp says: so an environment that is brought up to date keeps its kind."""
    return Wish(kind_of(noted.get(BUILD, "")), noted.get(FROM, ""))


def choose(
    lock: Path,
    pip: Sequence[str | Path],
    wish: Wish,
    there: TorchBuild | None = None,
    found: Callable[[], Gpus] = gpus.found,
) -> Choice:
    """Decide. `pip` is the command that will install it, `there` the build that is in the environment already.

    Raises Problem if nothing of the kind that was asked for can be found.
    """
    (kind, wanted, hint), version = _wanted(wish, found), pinned_version(lock)
    noted = _noted(wanted[0], wish.index)
    if there is not None and not wish.index and there.release == version and _is_one_of(there, wanted):
        return Choice((), f"torch: {there.version} stays.", noted)
    shelves = _Shelves(pip, version, wish.index)
    for build, index in shelves.having(wanted):
        return _named(build, index, version, noted, hint)
    if not wish.index:
        return _usual(kind, version, shelves, noted, asked=wish.kind == kind)
    for build, index in shelves.others("" if wish.kind in ("", "auto") else kind):
        return _named(build, index, version, noted)
    why = f"torch: the given index does not list {version} {_words(kind)}; pip looks there itself."
    return Choice(("--extra-index-url", wish.index), why, noted)


def _wanted(wish: Wish, found: Callable[[], Gpus]) -> tuple[str, tuple[str, ...], str]:
    """The kind that is wished for, or that fits this machine; its builds, the best first; and what would fit better.

    Raises Problem if this system has no such build.
    """
    asked = "" if wish.kind == "auto" else wish.kind
    mac = sys.platform == "darwin"
    machine = Gpus() if mac or asked not in ("", "cuda") else found()
    kind = asked or machine.kind
    known = _of_this_system()
    if kind not in known and not wish.index:
        raise Problem(f"There is no build of torch for {kind} on this system: choose --torch {' or '.join(known)}.")
    wanted = builds(kind, machine.nvidia)
    new = machine.nvidia is not None and (machine.nvidia.capability or (0, 0)) > CUDA_12_CARD
    return kind, wanted, HINT if new and wanted == ("cu126",) else ""


def _noted(build: str, index: str) -> Mapping[str, str]:
    return {BUILD: build, FROM: index}


def _is_one_of(there: TorchBuild, wanted: Sequence[str]) -> bool:
    """Whether a build is as good as the best one that is wanted, under whatever name it came."""
    best = wanted[0]
    if there.kind == kind_of(best) == "cuda":
        return there.cuda.partition(".")[0] == best[2:4]
    return there.kind == kind_of(best)


def builds(kind: str, nvidia: Nvidia | None = None) -> tuple[str, ...]:
    """Names of the builds of a kind, the best first."""
    if kind == "cuda":
        nvidia = nvidia or Nvidia(CUDA_13_DRIVER)
        new = nvidia.driver >= CUDA_13_DRIVER and (nvidia.capability or CUDA_13_CARD) >= CUDA_13_CARD
        return ("cu130", "cu126") if new else ("cu126",)
    return ROCM if kind == "rocm" else (kind,)


def kind_of(build: str) -> str:
    """The kind of a build by its name; builds without one are the usual ones, of no kind that is known here."""
    return next((kind for kind, start in (("cuda", "cu"), ("rocm", "rocm")) if re.match(rf"{start}\d", build)), build)


def pinned_version(lock: Path) -> str:
    """The torch that the lock file names."""
    match = re.search(r"^torch==([\w.]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise Problem(f"{lock} does not pin torch: get the file from the repository again.")
    return match[1]


def listed(pip: Sequence[str | Path], index: str = "") -> tuple[str, ...]:
    """Versions of torch that pip finds for this system and Python, in an index or, without one, by its own
    configuration; none if the index does not answer. pip knows of proxies, certificates and passwords. Downloads no
    wheel."""
    options = ["--disable-pip-version-check", "--no-input", "--timeout", "15", "--retries", "0"]
    where = ["--index-url", index] if index else []
    said = ask([*pip, "index", "versions", "torch", *options, *where], timeout_s=LIMIT_S) or ""
    line = re.search(r"^Available versions: (.*)$", said, re.MULTILINE)
    return tuple(line[1].strip().split(", ")) if line else ()


class _Shelves:
    """Where builds of one version are looked for."""

    def __init__(self, pip: Sequence[str | Path], version: str, given: str) -> None:
        self._pip, self._version, self._given = pip, version, given
        self._seen: dict[str, list[str]] = {}

    def builds(self, index: str = "") -> list[str]:
        """Names of the version's builds that an index has; "": the usual one."""
        if index not in self._seen:
            halves = [found.partition("+") for found in listed(self._pip, index)]
            self._seen[index] = [build for version, _, build in halves if version == self._version]
        return self._seen[index]

    def having(self, wanted: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Those of the builds that are found, and the index; "": where pip looks anyway, which comes first."""
        if not self._given:
            yield from ((build, "") for build in wanted if build in self.builds())
        for build in wanted:
            index = self._given or f"{INDEX}/{build}"
            if build in self.builds(index):
                yield build, index

    def others(self, kind: str) -> Iterator[tuple[str, str]]:
        """Other builds that the given index has, of this kind or, without one, of any."""
        yield from ((build, self._given) for build in self.builds(self._given) if kind in ("", kind_of(build)))


def _named(build: str, index: str, version: str, noted: Mapping[str, str], hint: str = "") -> Choice:
    """A build that was found. Named in full, it takes the place of another that is there."""
    kind, given = kind_of(build) or _usual_kind(), noted[FROM]
    where = "the given index" if given else "PyTorch's own index" if index else "where pip looks"
    why = f"torch: {version}{f'+{build}' if build else ''}, {_words(kind)}, from {where}.{hint}"
    arguments = ("--extra-index-url", index) if index else ()
    return Choice((*arguments, _pin(version, build)), why, noted, ROOM_GB.get(kind, 0.0))


def _usual(kind: str, version: str, shelves: _Shelves, noted: Mapping[str, str], *, asked: bool) -> Choice:
    """The build that comes if none is named, where none of the wanted ones was found."""
    usual = _usual_kind()
    pin = (_pin(version, ""),) if "" in shelves.builds() else ()
    if usual == kind:
        why = f"torch: {version}, this system's usual build, {_words(kind)}."
        return Choice(pin, why, noted, ROOM_GB[kind])
    nowhere = f"torch: no build of {version} {_words(kind)} was found in {INDEX}"
    if asked and kind != "cpu":
        raise Problem(
            f"{nowhere}. Look whether this machine has a network, or name another index with --torch-index URL."
        )
    came = _noted(builds(usual)[0], "")
    if usual == "cuda":
        return Choice(pin, f"{nowhere}, so the usual one comes, {_words(usual)}: {USUAL_SIZE}.", came, ROOM_GB[usual])
    again = f"install.py setup --torch {kind}"
    return Choice(pin, f"{nowhere}, so that for the CPU comes. Later, this tries once more: {again}", came)


def _pin(version: str, build: str) -> str:
    """=== is met by this text alone: 2.13.0+cpu is a 2.13.0 for ==."""
    return f"torch=={version}+{build}" if build else f"torch==={version}"


def _usual_kind() -> str:
    """Of the build that the public package index has for this system. On a Mac it uses the GPU, too."""
    return "cuda" if sys.platform == "linux" else "cpu"


def _of_this_system() -> tuple[str, ...]:
    gpu = {"linux": ("cuda", "rocm", "xpu"), "win32": ("cuda", "xpu")}
    return ("cpu", *gpu.get(sys.platform, ()))


def _words(kind: str) -> str:
    made_for = {"cuda": "NVIDIA's GPUs", "rocm": "AMD's GPUs", "xpu": "Intel's GPUs"}
    return f"built for {made_for.get(kind, 'the CPU and the GPU' if sys.platform == 'darwin' else 'the CPU')}"
