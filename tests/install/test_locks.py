"""The locks: whole, so that nothing is installed that they do not name, and each file known by its hash."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backend.installer import clone, development

SYSTEMS = (("linux", "Linux", "posix"), ("win32", "Windows", "nt"), ("darwin", "Darwin", "posix"))
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LOCKS = (clone.BACKEND.lock, development.LOCK)


def requirements(lock: Path) -> list[Requirement]:
    lines = lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return [Requirement(line.partition(" --hash")[0]) for line in lines if line and not line.startswith("#")]


def on(requirement: Requirement, system: tuple[str, str, str], python: str, extra: str = "") -> bool:
    """Whether it holds on a system with a Python."""
    names = {"sys_platform": system[0], "platform_system": system[1], "os_name": system[2], "extra": extra}
    versions = {"python_version": python, "python_full_version": f"{python}.0"}
    return requirement.marker is None or requirement.marker.evaluate({**names, **versions})


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_file_that_may_be_installed_is_known_by_its_hash(lock: Path) -> None:
    blocks = lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    blocks = [block for block in blocks if block and not block.startswith("#")]
    assert len(blocks) > 10
    for block in blocks:
        assert re.fullmatch(r"[\w.-]+==[\w.+!-]+(; \S.*?)?(\s+--hash=sha256:[0-9a-f]{64})+", block), block[:60]


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system[0])
def test_the_locks_are_whole_on_every_system(system: tuple[str, str, str]) -> None:
    """pip is told to install what they name and nothing else. What CUDA's builds of torch need comes with these."""
    assert clone.BACKEND.torch_lock is not None
    runtime = [*requirements(clone.BACKEND.lock), *requirements(clone.BACKEND.torch_lock)]
    for wanted, there in ((runtime, runtime), (requirements(development.LOCK), runtime)):
        for python in PYTHONS:
            names = {canonicalize_name(each.name) for each in (*wanted, *there) if on(each, system, python)}
            for package in wanted:
                if not on(package, system, python):
                    continue
                try:
                    needs = metadata.requires(package.name) or []
                except metadata.PackageNotFoundError:
                    assert "win32" in str(package.marker), package
                    continue
                for need in map(Requirement, needs):
                    if on(need, system, python) and need.name not in ("triton", "cuda-bindings", "cuda-toolkit"):
                        assert canonicalize_name(need.name) in names, f"{package.name} on {system[0]}, {python}: {need}"


def test_what_the_project_needs_is_locked(root: Path) -> None:
    """pyproject.toml's ranges hold for the versions in the locks."""
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert clone.BACKEND.torch_lock is not None
    locked = {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for lock in (*LOCKS, clone.BACKEND.torch_lock)
        for each in requirements(lock)
    }
    for need in map(Requirement, project["dependencies"]):
        assert need.specifier.contains(locked[canonicalize_name(need.name)]), need
