"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import lanes

# Set before anything imports torch: small models are fastest, and the same every time, on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadlines, because the machine may be busy; before any test is collected, for tests keep what holds at that time.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

ROOT = Path(__file__).resolve().parents[1]


SELECTED = {
    "long": ("--long", "takes minutes"),
    "full_size": ("--full-size", "takes minutes and up to 14 GB"),
    "ui": ("--ui", "needs a Debian, root, and 3 GB for two Blenders with a window"),
}
"""Marks of tests that run only with an option: the option, and why."""


def pytest_addoption(parser: pytest.Parser) -> None:
    for mark, (option, cost) in SELECTED.items():
        parser.addoption(option, action="store_true", help=f"also run the tests marked {mark}: each {cost}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(lanes.Guard())


@pytest.hookimpl(wrapper=True)  # before marks are selected
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    for item in items:
        lanes.mark(item)
    for mark, (option, cost) in SELECTED.items():
        if config.getoption(option):
            continue
        for item in items:
            if mark in item.keywords:
                item.add_marker(pytest.mark.skip(reason=f"{cost}: runs with {option}"))
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return lanes.Scheduling(config, log)


def _python_of(environment: str) -> Path:
    python = ROOT / environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        pytest.skip(f"{environment} is missing: python3 install.py test makes it")
    return python


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def blender_python() -> Path:
    """A Python that has bpy 5.0.1."""
    return _python_of(".venv-blender-5.0.1")


@pytest.fixture(scope="session")
def old_blender_python() -> Path:
    """A Python that has bpy 4.2.23."""
    return _python_of(".venv-blender-4.2.23")
