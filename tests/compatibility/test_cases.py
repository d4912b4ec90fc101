"""Every row of docs/COMPATIBILITY.md is true, and none is missing there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from elevator import ModelError, Sources, load_models
from scripts.compatibility import DOCUMENT, table
from tests.compatibility.cases import Case, every_case
from tests.true_shapes.random_weights import write

CASES = every_case()


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pair that works."""
    folder = tmp_path_factory.mktemp("working")
    return {
        "t2i": write("sd1", folder / "sd1.safetensors", "tiny"),
        "t2v": write("motion_v2", folder / "mm.ckpt", "tiny"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_becomes_of_it(case: Case, working: dict[str, Path], tmp_path: Path) -> None:
    files: dict[str, Any] = {**working, **case.build(tmp_path)}
    sources = Sources.of(**files)
    if case.refused:
        with pytest.raises(ModelError) as caught:
            load_models(sources)
        assert str(caught.value).replace(f"{tmp_path}{os.sep}", "") == case.refused
    else:
        assert case.holds(load_models(sources))


def test_the_table_is_up_to_date() -> None:
    """`.venv/bin/python scripts/compatibility.py` writes it."""
    assert DOCUMENT.read_text(encoding="utf-8") == table()


def test_each_row_is_of_a_kind_of_its_own() -> None:
    assert len({(case.role, case.format, case.tool) for case in CASES}) == len(CASES)
