"""Ctrl-C while a script waits."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from blender_addon.machine.ctrl_c import CtrlC

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself Ctrl-C there")


@pytest.fixture(autouse=True)
def in_the_foreground() -> Iterator[None]:
    """A shell has what it starts in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_is_noted_and_the_second_raises() -> None:
    before = signal.getsignal(signal.SIGINT)
    with CtrlC() as ctrl_c:
        assert not ctrl_c.pressed
        os.kill(os.getpid(), signal.SIGINT)
        assert ctrl_c.pressed
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_in_another_thread_nothing_is_taken() -> None:
    """Signals are the main thread's alone."""

    def entered() -> bool:
        with CtrlC() as ctrl_c:
            return ctrl_c.pressed

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(entered).result()
    assert signal.getsignal(signal.SIGINT) is before


def test_one_in_another_gives_back_what_it_took() -> None:
    with CtrlC() as outer:
        with CtrlC() as inner:
            os.kill(os.getpid(), signal.SIGINT)
        assert (outer.pressed, inner.pressed) == (False, True)
        os.kill(os.getpid(), signal.SIGINT)
        assert outer.pressed
