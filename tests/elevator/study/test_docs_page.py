"""What scripts/study_docs.py makes of a study's page: the same tables, its pictures small, and README.md's table."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
PAGE = """# The study

![main](main.png)

## Low-pass

| arm | 1.0 |
|---|---|

![sheet](lowpass_1_sheet.png)

![strips](lowpass_1_strips.png)

![plot](lowpass.png)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("study_docs", ROOT / "scripts" / "study_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DOCS", tmp_path / "docs")
    return module


def arms(script: ModuleType) -> dict[str, object]:
    """Each arm's value of each measure is its place in the table, and one is not measured."""
    values = {
        arm: {name: {"value": row + column / 10} for column, name in enumerate(script.COLUMNS)}
        for row, arm in enumerate(script.ROWS)
    }
    return {
        "tables": {
            "baselines, embedded": {"arms": values | {script.ROWS[1]: values[script.ROWS[1]] | {"motion": None}}}
        }
    }


def test_the_page_comes_with_its_pictures_but_strips(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study, docs = tmp_path / "study", tmp_path / "docs"
    study.mkdir()
    docs.mkdir()
    (docs / "of_before.webp").touch()
    (study / "README.md").write_text(PAGE, encoding="utf-8")
    (study / "study.json").write_text(json.dumps(arms(script), indent=1), encoding="utf-8")
    for name in ("main", "lowpass_1_sheet", "lowpass_1_strips", "lowpass"):
        Image.linear_gradient("L").convert("RGB").save(study / f"{name}.png")
    monkeypatch.setattr("sys.argv", ["study_docs.py", str(study)])
    assert script.main() == 0
    page = (docs / "README.md").read_text(encoding="utf-8")
    assert "| arm | 1.0 |\n|---|---|\n" in page
    assert re.findall(r"\((\S+)\)", page) == ["main.webp", "lowpass_1_sheet.webp", "lowpass.webp"]
    assert "\n\n\n" not in page
    there = {path.name for path in docs.iterdir()}
    assert there == {"README.md", "study.json", "main.webp", "lowpass_1_sheet.webp", "lowpass.webp"}
    with Image.open(docs / "lowpass.webp") as plot, Image.open(study / "lowpass.png") as drawn:
        assert plot.convert("RGB").tobytes() == drawn.tobytes(), "no pixel of a plot changes"
    assert json.loads((docs / "study.json").read_bytes()) == arms(script)
    assert capsys.readouterr().out.startswith("| | feature distance | subject | motion |")


def test_the_main_table_has_the_arms_in_order(script: ModuleType) -> None:
    lines = script.table(arms(script)).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {arm}" for arm in script.ROWS]
    assert lines[2] == "| T2V alone | 0.0 | 0.10 | 0.20 | 0.3 | 0.40 | 0.50 |"
    assert lines[3] == "| T2I per frame | 1.0 | 1.10 | – | 1.3 | 1.40 | 1.50 |"
