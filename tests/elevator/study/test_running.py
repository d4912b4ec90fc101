"""What is made, in which order, and once."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
from PIL import Image

from elevator.embedded import WEIGHTS
from elevator.study import costing, running
from elevator.study.arms import STYLED
from elevator.study.making import Made
from elevator.study.prompts import StudyPrompt
from elevator.study.records import Records
from elevator.study.running import Job, cast, missing, run
from tests.elevator.study.conftest import record_of, study_in


@pytest.fixture
def made(monkeypatch):
    """The jobs that were worked on; `fail` after so many."""

    class Made(list[Job]):
        fail: int | None = None

    jobs = Made()

    def work(job):
        if jobs.fail is not None and len(jobs) >= jobs.fail:
            raise KeyboardInterrupt
        jobs.append(job)
        if job.picture is not None:
            job.picture.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16 * 64, 64)).save(job.picture)
        return record_of(job.recipe, job.prompt, job.seed, {"flow": 1.0})

    monkeypatch.setattr(running, "work", work)
    monkeypatch.setattr(running, "commit", lambda: "0123456789ab")
    return jobs


def names_of(jobs):
    return [(job.recipe.arm.name, job.prompt.text, job.seed) for job in jobs]


def test_an_interrupted_study_goes_on_where_it_was(tmp_path, made):
    study = study_in(tmp_path, prompts=3)
    found = cast(study)
    everything = names_of(missing(study, found, {}))
    assert len(everything) == 4 * 3
    made.fail = 5
    with pytest.raises(KeyboardInterrupt):
        run(study, found, quiet=True)
    made.fail = None
    run(study, found, quiet=True)
    assert names_of(made) == everything, "each once, in the order that was planned"
    run(study, found, quiet=True)
    assert len(made) == len(everything)
    assert missing(study, found, Records(tmp_path).read()) == []


@pytest.mark.process
def test_the_commit_is_that_of_the_clone(root, monkeypatch, tmp_path):
    if not (root / ".git").exists():
        assert running.commit() == ""
    else:
        assert re.fullmatch(r"[0-9a-f]{12}\+?", running.commit())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert running.commit() == "", "without git"


def test_all_arms_of_a_prompt_come_before_the_next_prompt_and_first_seeds_first(tmp_path, made):
    study = study_in(tmp_path, tables=("baselines", "lowpass"), prompts=2)
    jobs = missing(study, cast(study), {})
    clips = [(job.prompt, job.seed) for job in jobs]
    assert list(dict.fromkeys(clips)) == study.clips(2)
    first = [job for job in jobs if job.seed == job.prompt.seeds[0]]
    arms = {arm.name for table in study.tables for arm in table.arms}
    assert {job.recipe.arm.name for job in first} == arms
    second = {job.recipe.arm.name for job in jobs if job.seed == job.prompt.seeds[1]}
    assert second == {arm.name for table in study.tables for arm in table.arms if table.seeds == 2}


def test_fewer_seeds_and_prompts_make_a_smaller_study_of_the_same_clips(tmp_path, made):
    large = study_in(tmp_path, tables=("baselines",), prompts=4)
    small = replace(large, prompts=large.prompts[:2], seeds=1)
    found = cast(small)
    jobs = names_of(missing(small, found, {}))
    assert set(jobs) < set(names_of(missing(large, cast(large), {})))
    run(small, found, quiet=True)
    done = set(jobs)
    rest = missing(large, cast(large), Records(tmp_path).read())
    assert done.isdisjoint(names_of(rest))


def test_records_alone_are_enough_to_go_on_elsewhere(tmp_path, made):
    """Only the few clips that are shown are made again, for their pictures, and counted once."""
    study = study_in(tmp_path / "here", prompts=3)
    found = cast(study)
    run(study, found, quiet=True)
    there = replace(study, out=tmp_path / "there")
    there.out.mkdir()
    lines = (study.out / "clips.jsonl").read_bytes()
    (there.out / "clips.jsonl").write_bytes(lines)
    made.clear()
    run(there, found, quiet=True)
    assert {(job.prompt, job.seed) for job in made} == set(study.shown)
    assert (there.out / "clips.jsonl").read_bytes() == lines


def test_a_line_that_a_crash_has_torn_is_cut_off_before_others_are_written(tmp_path, made):
    study = study_in(tmp_path, prompts=1)
    found = cast(study)
    run(study, found, quiet=True)
    file = tmp_path / "clips.jsonl"
    *whole, last = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(whole) + last[:40])
    run(study, found, quiet=True)
    lines = file.read_bytes().splitlines(keepends=True)
    assert lines[:-1] == whole
    assert len(Records(tmp_path).read()) == len(lines) == len(whole) + 1


def test_clips_are_those_of_as_many_seeds_as_prompts_have(tmp_path):
    few, many = StudyPrompt("a", (1,)), StudyPrompt("b", (2, 3, 4))
    study = replace(study_in(tmp_path, seeds=2), prompts=(few, many))
    assert study.clips(1) == [(few, 1), (many, 2)]
    assert study.clips(2) == study.clips(9) == [(few, 1), (many, 2), (many, 3)]
    prompts = tuple(StudyPrompt(str(k), (k, 99)) for k in range(25))
    assert replace(study, prompts=prompts).shown == [(prompts[k], k) for k in (0, 12, 24)]
    (table,) = study.tables
    three = replace(study, t2vs=("a", "b", "c"))
    assert three.t2vs_of(table) == ("a", "b", "c")
    assert three.t2vs_of(replace(table, t2vs=2)) == ("a", "b")


def test_arms_with_an_embedded_lora_are_for_the_embedded_t2i_alone(tmp_path):
    study = replace(study_in(tmp_path, tables=("baselines",)), t2i=str(WEIGHTS / "t2i"))
    impossible = cast(study).impossible
    assert {arm for _, arm in impossible} == {"turbo"} | {arm.name for arm in STYLED}
    assert set(impossible.values()) == {"Its LoRA is one of the embedded T2I."}
    assert cast(study_in(tmp_path, tables=("baselines",))).impossible == {}


def test_a_table_of_one_t2v_is_made_with_the_first(tmp_path):
    study = study_in(tmp_path, tables=("matching", "baselines"), t2vs=("embedded", "embedded_animatediff"), seeds=5)
    found = cast(study)
    assert {t2v for t2v, arm in found.recipes if arm == "by index"} == {"embedded"}
    assert {t2v for t2v, arm in found.recipes if arm == "published"} == set(study.t2vs)
    assert found.seeds[found.recipes["embedded", "by index"].key] == 1
    assert found.seeds[found.recipes["embedded", "published"].key] == 2
    assert cast(replace(study, seeds=1)).seeds[found.recipes["embedded", "published"].key] == 1


def test_a_clip_is_made_measured_and_its_picture_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "commit", lambda: "0123456789ab")
    study = study_in(tmp_path, prompts=1)
    job = missing(study, cast(study), {})[0]
    clip = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), np.uint8)
    monkeypatch.setattr(running, "make", lambda *_: Made(clip, 2.5))
    record = running.work(job)
    assert (record.key, record.arm, record.t2v) == (job.recipe.key, job.recipe.arm.name, "embedded")
    assert (record.prompt, record.seed, record.seconds, record.device) == (job.prompt.text, job.seed, 2.5, "cpu")
    assert (record.calls, record.tflop, record.commit) == (job.recipe.calls, job.recipe.tflop, "0123456789ab")
    assert record.features is not None
    assert job.picture is not None
    with Image.open(job.picture) as picture:
        assert np.array_equal(np.asarray(picture), np.concatenate(list(clip), axis=1))
    assert [file.name for file in job.picture.parent.iterdir()] == [job.picture.name]


def test_the_cost_is_that_of_the_arms_that_were_timed(tmp_path, made):
    study = study_in(tmp_path, prompts=2)
    found = cast(study)
    assert "Hours are known once" in costing.told(study, found, {})
    timed = found.recipes["embedded", "temporal"]
    record = record_of(timed, study.prompts[0], study.prompts[0].seeds[0], {})
    every = {cost.recipe.arm.name: cost for cost in costing.costs(study, found, {record.clip: record})}
    assert (every["temporal"].seconds, every["temporal"].measured, every["temporal"].made) == (record.seconds, True, 1)
    other = every["published"]
    assert other.seconds == pytest.approx(10 * other.recipe.tflop)
    assert not other.measured
    assert every["temporal"].hours == pytest.approx(record.seconds / 3600), "one of two clips is left"
    line = every["temporal"].line().split()
    assert line == ["embedded:", "temporal", "2", "1", f"{timed.tflop:.2f}", f"{record.seconds:.1f}", "0.00"]
    assert other.line().split()[-2] == f"{other.seconds:.1f}?"
    said = costing.told(replace(study, processes=2), found, {record.clip: record})
    assert said.splitlines()[-2] == "?: not measured yet; by its arithmetic, at the rate of the others."
    hours = sum(cost.hours for cost in every.values())
    assert said.splitlines()[-1] == (
        f"7 of 8 clips are to be made, in {hours:.1f} hours of one process, {hours / 2:.1f} of 2."
    )
    whole = {}
    for recipe in found.different.values():
        made_one = record_of(recipe, study.prompts[0], study.prompts[0].seeds[0], {})
        whole[made_one.clip] = made_one
    assert "?" not in costing.told(study, found, whole)
    elsewhere = replace(record, device="cuda")
    assert "Hours are known once" in costing.told(study, found, {elsewhere.clip: elsewhere})


def test_a_clip_is_made_again_when_what_decides_it_has_changed(tmp_path, made, monkeypatch):
    study = study_in(tmp_path, prompts=1)
    run(study, cast(study), quiet=True)
    monkeypatch.setattr("elevator.study.making.EDITION", 2)
    assert len(missing(study, cast(study), Records(tmp_path).read())) == 4


@pytest.mark.long  # a minute: two processes load the models and make clips, of which two are kept
def test_a_real_study_is_interrupted_at_once_and_goes_on(tmp_path):
    words = ["study", "--only", "matching", "--t2v", "embedded", "--prompts", "2", "--seeds", "1", "--frames", "4"]
    command = [sys.executable, "-m", "elevator", *words, "--processes", "2", "--no-plots", "--out", str(tmp_path)]
    lines = tmp_path / "clips.jsonl"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as study:
        while study.poll() is None and not (lines.exists() and lines.read_bytes()):
            time.sleep(0.05)
        children = psutil.Process(study.pid).children(recursive=True)
        study.send_signal(signal.SIGINT)
        said, _ = study.communicate(timeout=20)
    assert study.returncode == 130, said
    assert "the same command goes on" in said
    assert not psutil.wait_procs(children, timeout=20)[1]
    before = lines.read_bytes()
    assert before.endswith(b"\n")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    left = 4 - before.count(b"\n")
    assert f"{left} of 4 clips are to be made" in done.stdout
    assert lines.read_bytes().startswith(before)
    assert lines.read_bytes().count(b"\n") == 4
