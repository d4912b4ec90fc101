"""Ctrl-C while a script waits. No bpy.

`blender -b` takes the signal for itself and goes on; the bpy module raises wherever Python happens to be. While
something is waited for, both only note it, and the one who waits ends at the next good moment.
"""

from __future__ import annotations

import ctypes
import signal
from types import FrameType, TracebackType
from typing import Self


class CtrlC:
    """Notes the first Ctrl-C while it is entered; a second one raises KeyboardInterrupt at once."""

    def __init__(self) -> None:
        self.pressed = False
        self._entered = False
        self._foreign: int | None = None
        self._python: signal.Handlers | object | None = None

    def __enter__(self) -> Self:
        self._foreign = _get(signal.SIGINT)
        try:
            self._python = signal.signal(signal.SIGINT, self._press)
        except ValueError:  # not in the main thread, which alone hears of signals
            return self
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._entered:
            # Python knows no handler that was written in C, as Blender's is: it calls that None.
            signal.signal(signal.SIGINT, self._python or signal.SIG_DFL)  # type: ignore[arg-type]
            _set(signal.SIGINT, self._foreign)

    def _press(self, _signal: int, _frame: FrameType | None) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True


_get = ctypes.pythonapi.PyOS_getsig
_get.argtypes, _get.restype = (ctypes.c_int,), ctypes.c_void_p
_set = ctypes.pythonapi.PyOS_setsig
_set.argtypes, _set.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
