"""The machine's memory."""

from __future__ import annotations

import os

import pytest

from backend.machine_memory import machine_memory


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="Windows has no sysconf")
def test_it_is_what_the_system_says() -> None:
    assert machine_memory() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
