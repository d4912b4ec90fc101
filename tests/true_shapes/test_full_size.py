"""Models of true size load and take a step within the memory of a common computer."""

from __future__ import annotations

import shutil

import pytest

from tests.benchmarks.full_size import CASES, measure

pytestmark = pytest.mark.slow

MEMORY = 14e9
"""Bytes: a computer of 16 GB, with room for the system."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("full_size")
    yield path
    shutil.rmtree(path)


@pytest.mark.full_size
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_pair_loads_and_makes_a_clip(case, folder, capsys):
    measured = measure(case, folder)
    with capsys.disabled():
        print(f"\n{case!s:70s} {measured}")
    assert measured.memory <= MEMORY
    assert measured.deviation > 1
