"""A study whose clips nobody had to make."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pytest

from elevator.study.arms import TABLES
from elevator.study.making import Machine, Recipes
from elevator.study.prompts import read_prompts
from elevator.study.records import Record, packed
from elevator.study.running import Cast, Study, cast

Value = TypeVar("Value")


def there(value: Value | None) -> Value:
    """A value that is to be there."""
    assert value is not None
    return value


def study_in(folder, tables=("lowpass",), prompts=8, seeds=2, t2vs=("embedded",)):
    chosen = tuple(table for table in TABLES if table.name in tables)
    return Study(folder, "embedded", t2vs, chosen, tuple(read_prompts()[:prompts]), seeds, machine=Machine())


def record_of(recipe, prompt, seed, numbers, features=None):
    return Record(
        key=recipe.key,
        arm=recipe.arm.name,
        t2v=recipe.t2v,
        prompt=prompt.text,
        seed=seed,
        commit="0123456789ab",
        device="cpu",
        seconds=10 * recipe.tflop,
        calls=recipe.calls,
        tflop=recipe.tflop,
        numbers=numbers,
        features=None if features is None else packed(features.astype(np.float16)),
    )


COUNTED = Recipes._cost
"""Arithmetic as it is; to count it takes seconds, and few tests look at it."""


@pytest.fixture(autouse=True, scope="package")
def uncounted():
    """Arithmetic that is told without counting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recipes, "_cost", lambda self, arm, plan, frames: (frames, 10**10 * (plan.steps + frames)))
        yield


@pytest.fixture(scope="package")
def all_recipes(tmp_path_factory, uncounted) -> Cast:
    """Of every table with the first embedded T2V, from headers."""
    return cast(study_in(tmp_path_factory.mktemp("study"), [table.name for table in TABLES]))
