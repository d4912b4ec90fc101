"""`python -m tests.gpu` in miniature, on the processor: every part runs to its end, and tells what it found at once."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gpu import pack, parts
from tests.gpu.__main__ import main
from tests.gpu.parts import PARTS, ROOT, Finding, Part, Setting, run_all, run_checks

pytestmark = [pytest.mark.slow, pytest.mark.process]


def setting(folder: Path) -> Setting:
    return Setting("cpu", True, folder, time.monotonic() + 60)


def test_every_part_runs_to_its_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--small", "--device", "cpu", "--minutes", "8", "--out", str(tmp_path)]) == 0, capfd.readouterr().out
    printed = capfd.readouterr().out
    for part in PARTS:
        found = json.loads((tmp_path / f"{part.name}.json").read_text(encoding="utf-8"))
        assert found
        assert all(f"{each['name']}: {each['text']}" in printed for each in found)
    lines = [json.loads(line) for line in (tmp_path / "parts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["part"], line["how"]) for line in lines] == [(part.name, "done") for part in PARTS]


def holds(_: Setting) -> Iterator[Finding]:
    yield Finding("first", "it holds", True, {"ms": 1.5})


def breaks_off(_: Setting) -> Iterator[Finding]:
    yield Finding("second", "told before it breaks", None)
    raise RuntimeError("CUDA error: an illegal memory access")


def does_not_hold(_: Setting) -> Iterator[Finding]:
    yield Finding("third", "it does not hold", False)


def test_a_check_that_breaks_is_told_and_the_next_is_made(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_checks("mine", (holds, breaks_off, does_not_hold), setting(tmp_path)) == 2
    found = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert [(each["name"], each["ok"]) for each in found] == [
        ("first", True),
        ("second", None),
        ("breaks off", False),
        ("third", False),
    ]
    assert found[0]["ms"] == 1.5
    assert "illegal memory access (test_miniature.py:" in found[2]["text"]
    assert "FAIL breaks off: RuntimeError" in capfd.readouterr().out


def test_a_part_that_hangs_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it has told stays, and the next part has the time that is left."""
    script = tmp_path / "stand_in"
    script.write_text(
        "import pathlib, sys, time\n"
        "words = sys.argv\n"
        "folder = pathlib.Path(words[words.index('--out') + 1])\n"
        "(folder / words[words.index('--part') + 1]).write_text('told')\n"
        "time.sleep(600 if 'hangs' in words else 0)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(parts, "COMMAND", (sys.executable, str(script)))
    began = time.monotonic()
    two = (Part("hangs", 1, "for ever"), Part("ends", 1, "at once"))
    assert run_all(two, 0.1, "cpu", True, tmp_path / "out") == 1
    assert time.monotonic() - began < 20
    lines = [json.loads(line) for line in (tmp_path / "out" / "parts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["part"], line["how"]) for line in lines] == [("hangs", "CUT OFF"), ("ends", "done")]
    assert all((tmp_path / "out" / part.name).read_text() == "told" for part in two)


def test_what_is_packed_are_the_locked_versions_for_the_other_machine(tmp_path: Path) -> None:
    assert [pin.partition("==")[0] for pin in sorted(pack.pins())] == sorted(pack.PACKAGES)
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert all(f"\n{pin} " in locked for pin in pack.pins() if not pin.startswith("peft"))
    command = pack.command(tmp_path)
    assert command[1:4] == ["-m", "pip", "download"]
    assert not any("://" in word or word.startswith("--index") for word in command)
