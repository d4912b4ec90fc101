"""What the add-on's tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from blender_addon.tools import packing
from tests.addon.blenders import ROOT


@pytest.fixture(scope="session")
def extension_zip() -> Path:
    """The extension as it is packaged for artists."""
    return packing.build(ROOT / "build", Path(sys.executable))
