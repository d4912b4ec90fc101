"""`python -m elevator study`: what it understands, and that it makes clips with the models themselves."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest

from elevator.cli import command_line, studying
from elevator.cli.studying import is_meant
from elevator.study import plots
from elevator.study.arms import TABLES


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
