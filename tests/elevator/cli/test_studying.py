"""`python -m elevator study`: what it understands, and that it makes clips with the models themselves."""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest

from elevator.cli import command_line, studying
from elevator.cli.studying import is_meant
from elevator.embedded import EMBEDDED
from elevator.study import costing, page, plots, running
from elevator.study.arms import TABLES
from elevator.study.making import Machine
from elevator.study.running import Study


def told(capsys, *words):
    """Exit code, what was told, and what was said on standard error."""
    code = command_line.main(["study", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["study"], True),
        (["study", "--only", "lowpass"], True),
        (["study", "--t2i", "a", "--t2v", "b"], True),
        (["--t2i", "a", "--t2v", "b", "study"], False),
        (["a study", "--t2i", "a"], False),
        ([], False),
    ],
)
def test_study_is_the_command_where_it_is_the_first_word(words, meant):
    assert is_meant(words) == meant


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--t2i", "sd15.safetensors", "--t2v", "mm.ckpt"], "give --prompts FILE"),
        (["--t2i", "sd15.safetensors", "--prompts", "mine.txt"], "no --t2v"),
        (["--prompts", "nowhere.txt"], "cannot be read"),
        (["--t2i", "nowhere", "--t2v", "nowhere", "--prompts", "mine.txt"], "nowhere"),
    ],
)
def test_what_cannot_be_studied_is_told_in_a_sentence(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("a red fox\n", encoding="utf-8")
    code, _, err = told(capsys, *words, "--dry-run")
    assert code == 1
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["--only", "lowpas"], ["--seeds", "0"], ["--size", "64"], ["--prompts", "0"], ["x"]])
def test_options_that_mean_nothing_are_refused(words):
    with pytest.raises(SystemExit) as refused:
        command_line.main(["study", *words])
    assert refused.value.code == 2


def test_without_matplotlib_the_study_says_what_to_install(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, _, err = told(capsys, "--only", "lowpass", "--t2v", "embedded", "--out", tmp_path)
    assert code == 1
    assert err == f"{plots.NEEDED}\n"


@pytest.fixture
def asked(monkeypatch):
    """The study that the options ask for; nothing is made."""
    studies: list[Study] = []
    monkeypatch.setattr(studying, "_run", lambda study, given: studies.append(study) or studying.DONE)

    def of(*words):
        assert command_line.main(["study", *words]) == 0
        return studies[-1]

    return of


def test_a_study_is_what_the_options_ask_for(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    plain = asked("--device", "cpu")
    assert (plain.out, plain.t2i, plain.t2vs) == (Path("study"), "embedded", tuple(EMBEDDED))
    assert (plain.tables, plain.seeds, plain.frames, plain.size, plain.processes) == (TABLES, 2, 16, None, 3)
    assert plain.machine == Machine("cpu", "float32")
    assert len(plain.prompts) == 48
    words = ["--only", "lowpass", "--only", "length", "--t2v", "embedded", "--prompts", "3", "--seeds", "1"]
    words += ["--frames", "8", "--size", "48x32", "--dtype", "bfloat16", "--processes", "2", "--out", str(tmp_path)]
    other = asked(*words, "--device", "cpu")
    assert [table.name for table in other.tables] == ["lowpass", "length"]
    assert (other.out, other.t2vs, other.seeds, other.frames, other.size) == (tmp_path, ("embedded",), 1, 8, (48, 32))
    assert (other.prompts, other.processes) == (plain.prompts[:3], 2)
    assert other.machine == Machine("cpu", "bfloat16")
    assert asked("--device", "cuda").processes == 1, "one clip at a time on a GPU"
    assert asked("--device", "cuda").machine == Machine("cuda", "float16")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert asked("--device", "cpu").processes == 1


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (BrokenProcessPool(), 1, "A process that made clips has ended, as for too little memory; give fewer --proc"),
        (KeyboardInterrupt(), 130, "Interrupted. The clips in here are kept; the same command goes on."),
        (OSError(28, "No space left on device"), 1, "here cannot be written (No space left on device); choose"),
    ],
)
def test_what_ends_a_study_is_one_sentence(capsys, monkeypatch, error, code, says):
    def fail(*_):
        raise error

    monkeypatch.setattr(studying, "_run", fail)
    ended, _, err = told(capsys, "--device", "cpu", "--out", "here")
    assert ended == code
    assert err.startswith(says)
    assert err.count("\n") == 1


@pytest.mark.parametrize(("words", "makes"), [(["--dry-run"], []), (["--page"], ["page"]), ([], ["clips", "page"])])
def test_what_costs_time_is_done_where_it_is_asked_for(capsys, monkeypatch, tmp_path, words, makes):
    made = []
    monkeypatch.setattr(running, "cast", lambda study: "cast")
    monkeypatch.setattr(running, "run", lambda study, found, quiet: made.append("clips"))
    monkeypatch.setattr(costing, "told", lambda *_: "it costs")
    monkeypatch.setattr(page, "write", lambda *_: made.append("page") or "the page")
    code, out, _ = told(capsys, *words, "--no-plots", "--device", "cpu", "--out", tmp_path)
    assert (code, made) == (0, makes)
    assert out.splitlines() == ["it costs", *(["the page"] if "page" in makes else [])]


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_told(capsys, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    code, _, err = told(capsys, "--only", "matching", "--prompts", "1", "--no-plots", "--out", tmp_path / "file" / "a")
    assert code == 1
    assert "cannot be written" in err
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.process
def test_a_study_is_made_once_and_its_page_written(capsys, tmp_path, monkeypatch):
    (table,) = (table for table in TABLES if table.name == "baselines")
    few = tuple(arm for arm in table.arms if arm.name in ("T2V alone", "draft"))
    monkeypatch.setattr(studying, "TABLES", (replace(table, arms=few, claims=()),))
    words = ["--t2v", "embedded", "--prompts", "1", "--seeds", "1", "--frames", "4", "--processes", "1", "--no-plots"]
    words += ["--quiet", "--out", str(tmp_path)]
    assert told(capsys, *words)[0] == 0
    lines = (tmp_path / "clips.jsonl").read_bytes()
    assert lines.count(b"\n") == 2
    code, out, _ = told(capsys, *words)
    assert code == 0
    assert "0 of 2 clips are to be made" in out
    assert (tmp_path / "clips.jsonl").read_bytes() == lines
    text = (tmp_path / "README.md").read_text("utf-8")
    assert "| T2V alone |" in text
    assert "| draft |" in text
