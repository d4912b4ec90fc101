"""What scripts/study_docs.py makes of a study's page: the same tables, its pictures small, and README.md's table."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from elevator.presets import presets_for

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


def interval(value: float, around: float) -> dict[str, float]:
    return {"value": value, "low": round(value - around, 3), "high": round(value + around, 3), "prompts": 9}


def arms(script: ModuleType) -> dict[str, object]:
    """Each arm's value of each measure is its place in the table, and one is not measured."""
    values = {
        arm: {name: interval(row + column / 10, row if row > 1 else 0.0) for column, name in enumerate(script.COLUMNS)}
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
    (study / "study.json").write_text(json.dumps(arms(script) | {"a": 81.43567, "b": 7}, indent=1), encoding="utf-8")
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
    assert json.loads((docs / "study.json").read_bytes()) == arms(script) | {"a": 81.44, "b": 7}
    assert capsys.readouterr().out.startswith("| | feature distance | subject | motion |")


def test_the_main_table_has_the_arms_in_order(script: ModuleType) -> None:
    lines = script.table(arms(script)).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {arm}" for arm in script.ROWS]
    assert lines[2] == "| T2V alone | 0.0 | 0.10 | 0.20 | 0.3 | 0.40 | 0.50 |"
    assert lines[3] == "| T2I per frame | 1.0 | 1.10 | – | 1.3 | 1.40 | 1.50 |"
    assert lines[4].startswith("| published | 2.0 [0.0, 4.0] | 2.10 [0.10, 4.10] |")


def test_readme_has_the_main_table_as_it_was_measured(script: ModuleType) -> None:
    measured = json.loads((ROOT / "docs" / "study" / "study.json").read_bytes())
    assert script.table(measured) in (ROOT / "README.md").read_text(encoding="utf-8")
    assert script.choices(measured) in (ROOT / "docs" / "SAMPLER.md").read_text(encoding="utf-8")


def test_defaults_are_what_the_study_has_found() -> None:
    """docs/SAMPLER.md says which, and why."""
    for kind in ("zeroscope", "animatediff", "animatelcm", "lavie"):
        for name in ("balanced", "fast", "draft"):
            plan = presets_for(kind)[name].plan
            assert (plan.way_back, plan.blend, plan.cache_interval) == ("blend", 1.0, 1)
            assert plan.matching == ("snr" if kind == "lavie" else "index")
        assert presets_for(kind)["published"].plan.matching == "index"
