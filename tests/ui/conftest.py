"""Blenders with a window, for tests that click. They run with --ui alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blender_addon.tools import packing
from tests.ui.systems import System, what_is_missing
from tests.ui.window import ROOT, Studio, Window, windows

SUITES = {"trixie": (4, 3), "sid": (5, 2)}
"""Debian's suites, and the Blender that each has at least."""
PICTURES = ROOT / "demo" / "ui"


@pytest.fixture(scope="module")
def extension() -> Path:
    """The extension as it is packaged for artists."""
    return packing.build(ROOT / "build", Path(sys.executable))


@pytest.fixture(scope="module", params=SUITES)
def studio(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, extension: Path
) -> Iterator[Studio]:
    """A system with the extension installed, made if it is not there."""
    if missing := what_is_missing():
        pytest.skip(missing)
    system = System(request.param)
    if not system.is_there:
        system.make()
    studio = Studio(system, tmp_path_factory.mktemp("studio"), PICTURES / request.param, extension)
    found = tuple(map(int, re.findall(r"\d+", studio.version)[:2]))
    assert found >= SUITES[request.param], f"{request.param} has {studio.version}"
    try:
        yield studio
    finally:
        studio.close()


@pytest.fixture(scope="module")
def opened(studio: Studio) -> Iterator[Window]:
    """The Blender that most tests share."""
    with windows(studio, "first") as (window,):
        yield window


@pytest.fixture
def window(opened: Window, request: pytest.FixtureRequest) -> Iterator[Window]:
    """It, with a picture of how each test leaves it."""
    yield opened
    if opened.process.poll() is None:
        opened.say("if bpy.ops.elevator.resume_queue.poll(): bpy.ops.elevator.resume_queue()")
        opened.picture(re.sub(r"\W+", "_", request.node.originalname.removeprefix("test_")))
