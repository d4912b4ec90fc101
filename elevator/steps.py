"""Work that yields as it goes on and returns what it made: generators with a result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, TypeVar

Given = TypeVar("Given")
Told = TypeVar("Told")
Result = TypeVar("Result")


def result(work: Generator[Any, None, Result]) -> Result:
    """Run it to its end, and return what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            value: Result = end.value
            return value


def relay(work: Generator[Given, None, Result], each: Callable[[Given], Told]) -> Generator[Told, None, Result]:
    """The same work, told in other words: yields `each` of what it yields, and returns what it returns.

    Closing this closes the work.
    """
    with closing(work):
        while True:
            try:
                given = next(work)
            except StopIteration as end:
                value: Result = end.value
                return value
            yield each(given)
