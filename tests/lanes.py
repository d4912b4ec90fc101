"""Which lane a test runs in: found out from what it uses, so that nobody has to remember a mark.

A test that starts a process is of the slow lane, and so is one that needs Blender. Both are read off the code of the
test, its fixtures and the helpers of `tests` that these call. What is missed there fails in the fast lane by a guard.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

STARTERS = {"subprocess", "multiprocessing"}
"""Modules that start processes."""
OUR_STARTERS = {"WorkerProcess", "BackendProcess", "Starter", "start_backend", "ensure"}
"""What starts one in the project itself, where no test does so with its own hands."""
OF_PROCESSES = {"install", "end_to_end", "flows", "ui"}
"""Rooms of tests that start processes, each of them."""
CLONE = re.compile(r"tests/(install|end_to_end)/|tests/addon/test_(in_blender|package)\.py")
"""Files of tests that share the clone itself: its environments, build and demo."""
SLOW_ROOMS = {"true_shapes", "embedded", "models", "cost", "worker"}
"""Rooms of tests that load networks, which takes seconds each."""
BLENDERS = {"blender_python", "old_blender_python"}
"""Fixtures that are a Python with bpy."""
WRAPPERS = (MethodType, staticmethod, classmethod)
STARTED = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system"}
"""Events of Python's own audit when a process is started."""


def mark(item: pytest.Item) -> None:
    """Mark a test with the lane it belongs to."""
    if not isinstance(item, pytest.Function):
        return
    if BLENDERS & set(item.fixturenames):
        item.add_marker(pytest.mark.blender)
    rooms = item.path.relative_to(item.config.rootpath).parts
    if OF_PROCESSES & set(rooms) or starts_processes(item):
        item.add_marker(pytest.mark.process)
    if SLOW_ROOMS & set(rooms):
        item.add_marker(pytest.mark.slow)


def starts_processes(item: pytest.Function) -> bool:
    """Whether the test, a fixture of it or a helper of these names something that starts processes."""
    seen: set[CodeType] = set()
    fixtures = [each.func for all_of_name in item._fixtureinfo.name2fixturedefs.values() for each in all_of_name]
    return any(_starts(_function(each), seen) for each in (item.function, *fixtures))


def _starts(function: FunctionType | None, seen: set[CodeType]) -> bool:
    if function is None or function.__code__ in seen or not function.__module__.startswith("tests."):
        return False
    seen.add(function.__code__)
    names = set(_names(function.__code__))
    if names & OUR_STARTERS:
        return True
    for name in names & set(function.__globals__):
        value = function.__globals__[name]
        if isinstance(value, ModuleType):
            if value.__name__ in STARTERS:
                return True
            inside = [vars(value).get(each) for each in names] if value.__name__.startswith("tests.") else []
            if any(_starts(_function(each), seen) for each in inside):
                return True
        elif isinstance(value, type):
            if any(_starts(_function(each), seen) for each in vars(value).values()):
                return True
        elif _starts(_function(value), seen):
            return True
    return False


def _function(thing: Any) -> FunctionType | None:
    """The function inside a method or a decorated one."""
    while thing is not None and not (isinstance(thing, FunctionType) and "__wrapped__" not in vars(thing)):
        inside: dict[str, Any] = getattr(thing, "__dict__", {})
        thing = getattr(thing, "__func__", None) if isinstance(thing, WRAPPERS) else inside.get("__wrapped__")
    return thing


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


class Guard:
    """Notes the processes that a test starts though it says that it starts none."""

    def __init__(self) -> None:
        self._started: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in STARTED and arguments[0] != "uname":  # which Python's own platform asks
            self._started.append(f"{event} {arguments[0]}")

    def pytest_collection_finish(self) -> None:
        """Forget what was started while modules were imported, to see what this machine can do."""
        self._started.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Fail a test of no lane that has started a process."""
        report = yield
        started, self._started = self._started, []
        if started and report.passed and not {"process", "blender"} & {each.name for each in item.iter_markers()}:
            report.outcome = "failed"
            report.longrepr = f"It starts a process ({started[0]}): mark it with pytest.mark.process."
        return report


class Scheduling(LoadScopeScheduling):
    """Which tests share a worker of pytest-xdist: those of a file, and all that use the clone's own environments.

    Marks of groups are of no use: pytest 9.2 has no place in which pytest-xdist 3.8 could note them.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "the clone" if CLONE.match(file) else file
