"""What a clip would take is said without a backend, from the headers of the models alone."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from backend.cli import dry_run
from backend.cli.output import Foreseen
from backend.client.api import Wish
from backend.failures import BackendError
from backend.styles.catalogue import read_catalogue
from elevator import Plan, estimate, load_shapes
from elevator.calls import calls_of
from elevator.errors import ModelError
from shared_protocol.machine import places
from tests.backend.commands import Call, caller
from tests.backend.harness import ROOT

pytestmark = pytest.mark.slow

GIGA = 10**9


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Runs one command of the backend."""
    before = signal.getsignal(signal.SIGTERM)
    yield caller(capsys)
    signal.signal(signal.SIGTERM, before)


def foreseen(wish: Wish, fps: Fraction | None = None, memory: int = GIGA) -> Foreseen:
    return dry_run.foresee(wish, fps, read_catalogue(), memory)


def test_it_is_what_the_sampler_foresees(monkeypatch: pytest.MonkeyPatch) -> None:
    wish = Wish("a fox", style="plain", preset="fast", frames=4, width=96, settings={"chunk": 2})
    said = foreseen(wish)
    recipe = read_catalogue().recipes["plain"]
    plan = replace(recipe.presets["fast"], chunk=2)
    takes = estimate(plan, load_shapes(recipe.sources), frames=4, height=64, width=96)
    assert (said.calls, said.memory) == (takes.calls.total, takes.peak)
    assert said.tflop == pytest.approx(takes.flops / 1e12)
    assert (said.frames, said.width, said.height, said.disk) == (4, 96, 64, 4 * 96 * 64 * 3)
    assert said.fits
    assert not foreseen(wish, memory=said.memory - 1).fits
    assert foreseen(wish, memory=said.memory).fits


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are counted from the plan alone, which is quick; nothing else is foreseen."""

    def calls_alone(plan: Plan, shapes: None, frames: int, height: int, width: int, start: int) -> SimpleNamespace:
        return SimpleNamespace(calls=calls_of(plan, frames, start), peak=1, flops=1, fits=lambda memory: True)

    monkeypatch.setattr(dry_run, "_shapes", lambda sources: None)
    monkeypatch.setattr(dry_run, "_estimate", calls_alone)


@pytest.mark.usefixtures("counted")
def test_another_rate_takes_its_place_on_the_disk_too() -> None:
    wish = Wish("a fox", preset="draft", frames=4)
    assert foreseen(wish, Fraction(24)).disk == foreseen(wish).disk * 4


@pytest.mark.usefixtures("counted")
def test_footage_saves_calls(tmp_path: Path) -> None:
    shot = tmp_path / "shot.png"
    assert cv2.imwrite(str(shot), np.zeros((64, 64, 3), np.uint8))
    plan = read_catalogue().recipes["plain"].presets["published"]
    for strength, steps in ((1.0, plan.steps), (0.31, math.ceil(0.31 * plan.steps))):
        said = foreseen(Wish("a fox", preset="published", footage=(shot, shot), strength=strength))
        assert said.frames == 2
        assert said.calls == calls_of(plan, 2, plan.steps - steps).total


@pytest.mark.usefixtures("counted")
def test_what_the_sampler_refuses_is_said(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise ModelError("This is too much; take less.")

    monkeypatch.setattr(dry_run, "_estimate", refuse)
    with pytest.raises(BackendError) as caught:
        foreseen(Wish("a fox"))
    assert caught.value.code == "model_unfit"
    assert "This is too much; take less." in caught.value.sentence
    assert ".." not in caught.value.sentence


@pytest.mark.usefixtures("counted")
def test_styles_that_are_skipped_are_said_once(call: Call, tmp_path: Path) -> None:
    (places.config_folder() / "styles").mkdir(parents=True)
    (places.config_folder() / "styles" / "broken.toml").write_text("title = ", encoding="utf-8")
    (tmp_path / "prompts.txt").write_text("a fox\na cat\n")
    for words in (("a fox",), ("--from", tmp_path / "prompts.txt")):
        done = call("generate", *words, "--dry-run")
        assert (done.code, done.err.count("is skipped")) == (0, 1)
    head, *rows, last = done.out.splitlines()
    assert head.split() == ["row", "frames", "size", "calls", "memory", "TFLOP", "disk"]
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert last.startswith("2 clips, ")


def test_models_are_read_once_for_all_clips_of_a_base(monkeypatch: pytest.MonkeyPatch) -> None:
    read, counted = [], []
    load = load_shapes
    takes = SimpleNamespace(calls=SimpleNamespace(total=1), peak=1, flops=1, fits=lambda memory: True)
    monkeypatch.setattr(dry_run, "load_shapes", lambda *paths, **options: read.append(paths) or load(*paths, **options))
    monkeypatch.setattr(dry_run, "estimate", lambda *plan, **size: counted.append(plan) or takes)
    dry_run._shapes.cache_clear()
    dry_run._estimate.cache_clear()
    for seed, frames in enumerate((2, 3, 2, 2)):
        foreseen(Wish("a fox", preset="draft", frames=frames, seed=seed))
    dry_run._estimate.cache_clear()  # nothing of this is to be believed later
    assert (len(read), len(counted)) == (1, 2)


def test_it_says_so_for_one_clip_and_starts_no_backend(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "machine_memory", lambda: 1000)
    shown = call("generate", "a fox", "--dry-run", "--preset", "draft", "--frames", "2")
    assert shown.code == 0
    assert "does not fit" in shown.out
    (line,) = call("generate", "a fox", "--dry-run", "--preset", "draft", "--frames", "2", "--json").lines
    assert (line["type"], line["frames"], line["fits"]) == ("Foreseen", 2, False)
    failed = call("generate", "a fox", "--dry-run", "--size", "63x64")
    assert (failed.code, len(failed.err.splitlines())) == (1, 1)
    assert not places.connection_file().exists()
    assert not places.log_file().exists()


def test_it_says_so_for_each_row_and_all_together(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text("prompt,frames,preset\na fox,2,draft\na cat,3,draft\n", encoding="utf-8")
    shown = call("generate", "--from", path, "--dry-run")
    assert shown.code == 0
    assert "2 clips, 5 frames" in shown.out
    lines = call("generate", "--from", path, "--dry-run", "--json").lines
    assert [(line["type"], line["row"], line["frames"]) for line in lines] == [("Foreseen", 1, 2), ("Foreseen", 2, 3)]
    path.write_text("prompt,frames,preset\na fox,2,draft\na cat,0,draft\n,2,draft\n", encoding="utf-8")
    failed = call("generate", "--from", path, "--dry-run", "--json")
    assert failed.code == 1
    assert [(line["type"], line.get("row")) for line in failed.lines] == [
        ("Foreseen", 1),
        ("Error", 2),
        ("Error", 3),
        ("Error", None),
    ]
    assert "row 2 (line 3)" in failed.err


def test_models_that_cannot_be_read_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = places.config_folder()
    (own / "bases").mkdir(parents=True)
    (own / "styles").mkdir()
    (own / "bases" / "broken.toml").write_text(
        'title = "x"\nt2i = "a.safetensors"\nt2v = "b.ckpt"\npresets = "zeroscope"\n', encoding="utf-8"
    )
    (own / "styles" / "broken.toml").write_text(
        'title = "x"\nbase = "broken"\npreset = "fast"\nexample_prompt = "a"\n', encoding="utf-8"
    )
    wish = Wish("a fox", style="broken")
    with pytest.raises(BackendError) as caught:
        foreseen(wish)
    assert caught.value.code == "model_missing"
    for name in ("a.safetensors", "b.ckpt"):
        (own / "bases" / name).write_bytes(b"nothing")
    with pytest.raises(BackendError) as caught:
        foreseen(wish)
    assert caught.value.code == "model_broken"


def test_other_commands_do_not_import_torch() -> None:
    code = (
        "import sys; from backend.__main__ import main; main(['queue']); "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules or 'cv2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
