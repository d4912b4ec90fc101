"""What the add-on's tests share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from blender_addon.tools import packing
from tests.addon.blenders import ROOT


@pytest.fixture(scope="session")
def extension_zip() -> Path:
    """The extension as it is packaged for artists."""
    return packing.build(ROOT / "build", Path(sys.executable))


@pytest.fixture(scope="session", autouse=True)
def no_backend_stays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A backend with jobs in a queue that is paused waits for ever, as it should: here it ends with the tests."""
    yield
    ours = str(tmp_path_factory.getbasetemp())
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("ELEVATOR_HOME", "").startswith(ours):
                process.terminate()
