"""Batches: files are read strictly, rows are checked before any is submitted, and made clips are not made again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from backend.cli.batch_file import Row, read_rows
from backend.cli.failures import CommandFailure
from backend.cli.following import Watcher
from backend.cli.receipt import Receipt, asked_of, read_receipt, write_receipt
from backend.client import profiles
from backend.client.api import Backend, Job, Wish, connect
from backend.client.failures import ClientFailure
from backend.failures import BackendError, Failure
from elevator.pictures.clip_folder import frames_in
from shared_protocol import connection
from shared_protocol.messages import FailureCode, LoraChoice
from tests.backend.commands import Call, caller
from tests.backend.harness import ROOT, Running, command, running, until

DEFAULTS = Wish("", style="sketch", frames=2, settings={"guidance": 5})


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Runs one command of the backend."""
    before = signal.getsignal(signal.SIGTERM)
    yield caller(capsys)
    signal.signal(signal.SIGTERM, before)


def file(folder: Path, text: str, name: str = "prompts.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def rows_of(path: Path) -> list[Row]:
    rows, wrong = read_rows(path, DEFAULTS, None)
    assert not wrong
    return rows


def jobs_of(folder: Path) -> dict[str, str]:
    """The job of each row's folder."""
    return {path.parent.name: json.loads(path.read_bytes())["job"] for path in folder.rglob("job.json")}


# Reading ----------------------------------------------------------------------------------------------------


def test_every_setting_is_a_column(tmp_path: Path) -> None:
    header = "prompt,negative_prompt,style,preset,frames,width,height,seed,lora,footage,strength,anchor,fps,out"
    header += ",guidance,lowpass.method,refine"
    cells = '"a fox, red",blue,neon,fast,4,96,64,7,ink:0.5 | a b.safetensors,shots,0.25,a.png,30000/1001,fox/one'
    cells += ',7.5,box,"[9, 4]"'
    for path in (file(tmp_path, f"{header}\n{cells}\n"), file(tmp_path, f"\n{header}\r\n\r\n{cells}\r\n,,,\r\n")):
        (row,) = rows_of(path)
        assert row.wish == Wish(
            "a fox, red",
            negative_prompt="blue",
            style="neon",
            preset="fast",
            frames=4,
            width=96,
            height=64,
            seed=7,
            settings={"guidance": 7.5, "lowpass": {"method": "box"}, "refine": [9, 4]},
            loras=(LoraChoice(name="ink", weight=0.5), LoraChoice(name="a b.safetensors")),
            footage=(tmp_path / "shots",),
            strength=0.25,
            anchor=tmp_path / "a.png",
        )
        assert (row.number, row.fps, row.folder) == (1, Fraction(30000, 1001), "fox/one")


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    lines = [
        {"prompt": "a fox", "frames": 4, "lora": ["ink:0.5", "two"], "lowpass": {"method": "box"}, "fps": 23.976},
        {"prompt": "a cat", "footage": ["a.png", "b.png"], "refine": [9, 4], "seed": None, "strength": 1},
    ]
    fox, cat = rows_of(file(tmp_path, "\n\n".join(json.dumps(line) for line in lines), "prompts.jsonl"))
    assert fox.wish.loras == (LoraChoice(name="ink", weight=0.5), LoraChoice(name="two"))
    assert fox.wish.settings == {"guidance": 5, "lowpass": {"method": "box"}}
    assert fox.fps == Fraction(23976, 1000)
    assert cat.wish.footage == (tmp_path / "a.png", tmp_path / "b.png")
    assert (cat.wish.style, cat.wish.frames, cat.wish.seed, cat.wish.strength) == ("sketch", 2, None, 1.0)
    assert cat.wish.settings == {"guidance": 5, "refine": [9, 4]}
    assert (fox.folder, cat.folder) == ("0001", "0002")
    assert cat.where == "prompts.jsonl, row 2 (line 3)"


def test_spreadsheets_are_understood(tmp_path: Path) -> None:
    """With a mark of byte order, semicolons and decimal commas, as Excel writes them in much of the world."""
    text = 'Prompt;Strength;guidance;frames\r\n"ein Fuchs; rot";0,5;7,5;\r\n"zwei\r\nZeilen, 1,5";;;3\r\n'
    one, two = rows_of(file(tmp_path, text, encoding="utf-8-sig"))
    assert (one.wish.prompt, one.wish.strength, one.wish.settings["guidance"]) == ("ein Fuchs; rot", 0.5, 7.5)
    assert (two.wish.prompt.split(), two.wish.frames) == (["zwei", "Zeilen,", "1,5"], 3)
    (tabbed,) = rows_of(file(tmp_path, "prompt\tframes\na fox, red\t4\n"))
    assert (tabbed.wish.prompt, tabbed.wish.frames) == ("a fox, red", 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prompt,stylee\nx,y\n", 'no column "stylee"'),
        ("prompt,frames,Frames\nx,1,2\n", "two columns"),
        ("a fox in snow\na cat\n", "its first line must name the columns"),
        ("prompt\n", "no rows"),
        ("", "no rows"),
        ('prompt\n"open\n', "line 2"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BackendError, match=says) as caught:
        rows_of(file(tmp_path, text))
    assert caught.value.exit_code == 1


def test_a_file_that_is_absent_or_in_another_encoding_is_said(tmp_path: Path) -> None:
    for path, says in [
        (tmp_path / "absent.csv", "No such"),
        (file(tmp_path, "prompt\né\n", encoding="cp1252"), "UTF-8"),
    ]:
        with pytest.raises(BackendError, match=says):
            rows_of(path)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ("x,1.5,,,", "frames"),
        ("x,many,,,", "frames"),
        ("x,,24/0,,", "frame rate"),
        ("x,,1e999,,", "frame rate"),
        ("x,,,../up,", "leads out"),
        ("x,,,/up,", "leads out"),
        ("x,,,.,", "leads out"),
        ("x,,,0001,", "that of row 1"),
        ("x,,,,ink:heavy", "no weight"),
        ("x,,,,,surplus", "6 cells"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, cells: str, says: str) -> None:
    rows, wrong = read_rows(file(tmp_path, f"prompt,frames,fps,out,lora\nx,,,,\n{cells}\n"), DEFAULTS, None)
    assert [row.number for row in rows] == [1]
    assert list(wrong) == [2]
    assert wrong[2].startswith("prompts.csv, row 2 (line 3): ")
    assert says in wrong[2]


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        ("frames", "many", 'frames: "many" is no whole number: write it like 16.'),
        ("frames", "16.5", 'frames: "16.5" is no whole number: write it like 16.'),
        ("frames", "1.2e3", 'frames: "1.2e3" is rounded: write a whole number with all of its digits.'),
        ("seed", "1,23457E+09", 'seed: "1,23457E+09" is rounded: write a whole number with all of its digits.'),
        ("strength", "80%", 'strength: "80%" is no number: write 0.8.'),
        ("strength", "0,8", 'strength: "0,8" is no number: write it like 0.8.'),
        ("strength", "nan", 'strength: "nan" is no number: write it like 0.8.'),
        ("fps", "23,976", 'fps: "23,976" is no frame rate: write it like 24 or 30000/1001.'),
    ],
)
def test_a_cell_that_cannot_be_used_is_said_with_what_belongs_there(
    tmp_path: Path, column: str, cell: str, says: str
) -> None:
    _, wrong = read_rows(file(tmp_path, f'prompt,{column}\nx,"{cell}"\n'), DEFAULTS, None)
    assert wrong == {1: f"prompts.csv, row 1 (line 2): {says}"}


def test_settings_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    _, wrong = read_rows(file(tmp_path, "prompt,lowpass,lowpass.method\nx,3,box\n"), DEFAULTS, None)
    assert wrong == {1: 'prompts.csv, row 1 (line 2): "lowpass.method" and "lowpass" contradict each other.'}


def test_numbers_and_truths_as_spreadsheets_write_them(tmp_path: Path) -> None:
    text = "prompt,frames,seed,correction,guidance,steps\na fox,16.0,-1,TRUE,9.0,12.0\n"
    (row,) = rows_of(file(tmp_path, text))
    assert (row.wish.frames, row.wish.seed) == (16, None), "a seed of -1 is a random one, as in other tools"
    assert row.wish.settings == {"guidance": 9, "correction": True, "steps": 12}
    (row,) = rows_of(file(tmp_path, '{"prompt": "a fox", "frames": 16.0, "seed": 3.0}', "prompts.jsonl"))
    assert (row.wish.frames, row.wish.seed) == (16, 3)


@pytest.mark.parametrize("name", ["prompts.json", "prompts.txt", "prompts.csv"])
def test_a_list_in_json_is_a_batch(tmp_path: Path, name: str) -> None:
    one, two = rows_of(file(tmp_path, '[{"prompt": "a fox"},\n {"prompt": "a cat", "seed": 4}]', name))
    assert (one.wish.prompt, two.wish.seed, two.where) == ("a fox", 4, f"{name}, row 2 (line 2)")


def test_a_text_with_a_prompt_a_line_is_a_batch(tmp_path: Path) -> None:
    one, two = rows_of(file(tmp_path, "a fox, in snow\n\na cat\n", "prompts.txt"))
    assert (one.wish.prompt, two.wish.prompt, two.where) == ("a fox, in snow", "a cat", "prompts.txt, row 2 (line 3)")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "no JSON"),
        ("3", "no clip"),
        ('{"prompt": 1}', "prompt"),
        ('{"frames": true}', "frames"),
        ('{"prompt": "a \\ud800 fox"}', "prompt: 'a \\ud800 fox' is not written in UTF-8."),
        ('{"out": "a\\u0000b"}', "can be no folder's name"),
        (f'{{"out": "{"é" * 130}"}}', "can be no folder's name"),
        ('{"frames": 1.5}', "frames: 1.5 is no whole number: write it like 16."),
        ('{"strength": true}', "strength: True is no number: write it like 0.8."),
        ('{"strength": [0.5]}', "strength: [0.5] is no number: write it like 0.8."),
        ('{"lora": [1]}', "lora"),
        ('{"lora": 1}', "lora"),
        ('{"nothing": 1}', '"nothing"'),
        ('{"fps": null, "out": ""}', ""),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, says: str) -> None:
    rows, wrong = read_rows(file(tmp_path, f"{line}\n", "prompts.jsonl"), DEFAULTS, None)
    assert len(rows) + len(wrong) == 1
    assert bool(wrong) == bool(says)
    assert all(says in sentence for sentence in wrong.values())


# Making -----------------------------------------------------------------------------------------------------


def test_each_row_has_a_clip_and_a_second_run_makes_only_what_is_missing(
    backend: Running, call: Call, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    path = file(tmp_path, "prompt,frames,seed,fps,out\na fox,2,3,,\na cat,4,,24,cats/one\na dog,1,,,\n")
    options = ["generate", "--from", path, "--out", out]
    made = call(*options)
    assert made.code == 0, made.err
    assert [len(frames_in(out / folder)) for folder in ("0001", "cats/one", "0003")] == [2, 12, 1]
    assert "row 1 of 3" in made.err
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    again = call(*options, "--json")
    assert [(line["type"], line["row"]) for line in again.lines] == [("Skipped", 1), ("Skipped", 2), ("Skipped", 3)]
    frames_in(out / "0003")[0].unlink()
    file(tmp_path, "prompt,frames,seed,fps,out\na fox,2,4,,\na cat,4,,24,cats/one\na dog,1,,,\n")
    refused = call(*options)
    assert refused.code == 1
    assert "row 1 (line 2)" in refused.err
    assert "--overwrite" in refused.err
    third = call(*options, "--overwrite", "--json", "--quiet")
    assert {(line["row"], line["type"]) for line in third.lines} >= {(1, "Saved"), (2, "Skipped"), (3, "Saved")}
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert {path.parent.name for path in after if before[path] == after[path]} == {"one"}


def test_rows_may_be_films(backend: Running, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = file(tmp_path, "prompt,frames,seed,out\na fox,2,3,fox.mp4\na cat,2,4,cats/one.gif\n")
    options = ["generate", "--from", path, "--out", out]
    made = call(*options)
    assert made.code == 0, made.err
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
        "fox.mp4",
        "fox.mp4.job.json",
        "one.gif",
        "one.gif.job.json",
    ]
    again = call(*options, "--json")
    assert [line["type"] for line in again.lines] == ["Skipped", "Skipped"]
    (out / "fox.mp4").unlink()
    file(tmp_path, "prompt,frames,seed,out\na fox,2,3,fox.mp4\na cat,2,5,cats/one.gif\n")
    refused = call(*options)
    assert refused.code == 1
    assert "one.gif is there already" in refused.err
    third = call(*options, "--overwrite", "--json", "--quiet")
    saved = [line for line in third.lines if line["type"] == "Saved"]
    assert [(line["row"], line["film"]) for line in saved] == [(1, "fox.mp4"), (2, "one.gif")]
    wrong = call("generate", "--from", path, "--out", tmp_path / "all.mp4")
    assert wrong.code == 2
    assert "--out is a folder" in wrong.err


def test_no_row_is_submitted_if_one_cannot_be_used(backend: Running, call: Call, tmp_path: Path) -> None:
    rows = ["a fox,plain,,,", ",plain,,,", "a fox,nouveau,,,", "a fox,,63,,", "a fox,,,0,", "a fox,,,,-2", "a,,,x,"]
    failed = call(
        "generate", "--from", file(tmp_path, "\n".join(["prompt,style,width,steps,seed", *rows])), "--out", tmp_path
    )
    assert failed.code == 1
    *sentences, last = failed.err.splitlines()
    assert [sentence.partition(" (")[0] for sentence in sentences] == [f"prompts.csv, row {n}" for n in range(2, 8)]
    for sentence, word in zip(sentences, ("empty", "nouveau", "63", "steps", "seed", "steps"), strict=True):
        assert word in sentence
    assert last.startswith("6 of the 7 rows")
    with connect() as connected:
        assert not connected.jobs(9).jobs


def test_a_row_that_fails_stops_no_other_and_is_tried_again(backend: Running, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = file(tmp_path, "prompt\nfail:out_of_memory\na fox\n")
    for _ in range(2):
        failed = call("generate", "--from", path, "--out", out, "--frames", "2", "--json", "--quiet")
        assert failed.code == 4
        errors = [line for line in failed.lines if line["type"] == "Error"]
        assert [(line["code"], line.get("row")) for line in errors] == [("out_of_memory", 1), ("rows_failed", None)]
        assert "prompts.csv, row 1 (line 2)" in failed.err
        assert "1 of the 2 rows" in errors[-1]["message"]
        assert len(frames_in(out / "0002")) == 2
    with connect() as connected:
        assert sorted(view.state for view in connected.jobs(9).jobs) == ["done", "failed", "failed"]


def test_footage_that_changes_makes_the_clip_anew(backend: Running, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = file(tmp_path, "prompt,footage\na fox,shot.png\n")
    jobs = []
    for value in (0, 0, 200):
        assert cv2.imwrite(str(tmp_path / "shot.png"), np.full((64, 64, 3), value, np.uint8))
        assert call("generate", "--from", path, "--out", out, "--overwrite").code == 0
        jobs.append(jobs_of(out)["0001"])
    assert jobs[0] == jobs[1] != jobs[2]
    (tmp_path / "shot.png").unlink()
    failed = call("generate", "--from", path, "--out", out)
    assert failed.code == 1
    assert "shot.png" in failed.err


def test_a_batch_whose_client_was_killed_goes_on_with_its_jobs(home: Path, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = file(tmp_path, "prompt\na fox\na cat\na dog\n")
    options = ["generate", "--from", str(path), "--out", str(out), "--frames", "2"]
    with running(step_seconds=0.05), connect() as connected:
        connected.pause()
        with subprocess.Popen(command(*options), cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            assert until(lambda: len(jobs_of(out)) == 3 if out.exists() else False)
            process.kill()
        before = jobs_of(out)
        connected.resume()
        done = call(*options)
        assert done.code == 0, done.err
        assert jobs_of(out) == before
        assert len(connected.jobs(9).jobs) == 3
    assert all(len(frames_in(out / folder)) == 2 for folder in before)


def test_detached_rows_are_collected_by_the_same_command(backend: Running, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["generate", "--from", file(tmp_path, "prompt,fps\na fox,\na cat,24\n"), "--out", out, "--frames", "2"]
    assert call(*options, "--detach").code == 0
    before = jobs_of(out)
    assert len(before) == 2
    assert not any(frames_in(out / folder) for folder in before)
    assert call(*options).code == 0
    assert jobs_of(out) == before
    assert [len(frames_in(out / folder)) for folder in ("0001", "0002")] == [2, 6]


def test_a_result_that_is_gone_is_made_anew(backend: Running, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["generate", "--from", file(tmp_path, "prompt\na fox\n"), "--out", out, "--frames", "2"]
    assert call(*options, "--detach").code == 0
    job = jobs_of(out)["0001"]
    with connect() as connected:
        connected.job(job).wait()
        connected.forget(job)
    assert call(*options).code == 0
    assert jobs_of(out)["0001"] != job


def test_more_rows_than_the_queue_takes_wait_for_their_turn(
    backend: Running, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    submit = Backend.submit
    under_way: list[Any] = []

    def crowded(backend: Backend, wish: Wish) -> Job:
        if sum(job.end is None for job in under_way) >= 2:
            raise Failure("queue_full", most=2)
        under_way.append(submit(backend, wish))
        return under_way[-1]

    monkeypatch.setattr(Backend, "submit", crowded)
    path = file(tmp_path, "prompt\n" + "a fox\n" * 5)
    assert call("generate", "--from", path, "--out", tmp_path / "out", "--frames", "1").code == 0
    assert len(jobs_of(tmp_path / "out")) == len(under_way) == 5


@pytest.mark.parametrize(
    ("prompts", "refused"), [("a fox\nno cat\na fox\n", "bad_request"), ("no cat\n", "queue_full")]
)
def test_a_row_that_is_refused_is_not_tried_again(
    backend: Running, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompts: str, refused: FailureCode
) -> None:
    submit = Backend.submit
    tried: list[str] = []

    def choosy(backend: Backend, wish: Wish) -> Job:
        tried.append(wish.prompt)
        if wish.prompt == "no cat":
            raise Failure(refused, detail="as the test asked", most=1)
        return submit(backend, wish)

    monkeypatch.setattr(Backend, "submit", choosy)
    path = file(tmp_path, "prompt\n" + prompts)
    assert call("generate", "--from", path, "--out", tmp_path / "out", "--frames", "1").code == 4
    assert tried == prompts.split("\n")[:-1]


def test_rows_of_a_backend_elsewhere_may_name_styles_that_are_there_alone(
    backend: Running, call: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = home / "config" / "styles"
    styles.mkdir(parents=True)
    text = 'title = "T"\nbase = "embedded"\npreset = "published"\nexample_prompt = "a cat"\n'
    (styles / "theirs.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("ELEVATOR_HOME", str(tmp_path / "another machine"))
    connection.write(profiles.profile_file("studio"), msgspec.structs.replace(backend.connection, pid=0, started=None))
    options = ["--from", file(tmp_path, "prompt,style,frames\na fox,theirs,1\n"), "--out", tmp_path / "out"]
    assert call("generate", *options).code == 1, "here there is no such style"
    done = call("generate", *options, "--profile", "studio")
    assert done.code == 0, done.err
    assert len(frames_in(tmp_path / "out" / "0001")) == 1


def test_a_pause_meanwhile_is_told(backend: Running, call: Call, tmp_path: Path) -> None:
    path = file(tmp_path, "prompt\na fox\n")
    with connect() as connected:
        connected.pause()
        resuming = threading.Timer(0.5, connected.resume)
        resuming.start()
        done = call("generate", "--from", path, "--out", tmp_path / "out", "--frames", "1", "--json")
        resuming.join()
    assert done.code == 0
    assert [line["queue"]["paused"] for line in done.lines if line["type"] == "Queue"] == [False]
    assert done.err.startswith("The queue is paused;")


def test_what_stops_all_rows_is_told_as_it_is(
    backend: Running, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path, "prompt\na fox\na cat\n")
    tried: list[str] = []

    def lost(backend: Backend, wish: Wish) -> Job:
        tried.append(wish.prompt)
        raise ClientFailure("not_reached", detail="as the test asked")

    with monkeypatch.context() as patch:
        patch.setattr(Backend, "submit", lost)
        done = call("generate", "--from", path, "--out", tmp_path / "out", "--json")
    assert (done.code, done.lines[-1]["code"], tried) == (3, "batch_lost", ["a fox"])

    def unwritten(watcher: Watcher, *event: object, **more: object) -> None:
        raise CommandFailure("output_unwritten", detail="as the test asked")

    monkeypatch.setattr(Watcher, "show", unwritten)
    done = call("generate", "--from", path, "--out", tmp_path / "out", "--frames", "1", "--json")
    assert (done.code, done.lines[-1]["code"]) == (1, "output_unwritten")


def test_an_interrupt_cancels_what_was_submitted(home: Path, tmp_path: Path) -> None:
    if os.name != "posix":
        pytest.skip("signals are POSIX")
    path = file(tmp_path, "prompt\na fox\na cat\n")
    with running(step_seconds=0.3), connect() as connected:
        arguments = command("generate", "--from", str(path), "--out", str(tmp_path / "out"), "--frames", "2")
        with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any("painting" in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            assert "Interrupted." in process.stderr.read()
        assert process.returncode == 130
        assert until(lambda: not connected.jobs().jobs)
        assert [view.state for view in connected.jobs(9).jobs] == ["cancelled", "cancelled"]


def test_a_lost_backend_ends_the_batch_with_one_sentence(home: Path, call: Call, tmp_path: Path) -> None:
    path = file(tmp_path, "prompt\na fox\na cat\n")
    arguments = ["generate", "--from", str(path), "--out", str(tmp_path / "out"), "--frames", "2"]
    with running(step_seconds=0.3) as backend:
        with subprocess.Popen(command(*arguments), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert any("painting" in line for line in process.stderr)
            backend.process.kill()
            assert "give the same command again" in process.stderr.read().splitlines()[-1]
        assert process.returncode == 3
    before = jobs_of(tmp_path / "out")
    with running():
        assert call(*arguments).code == 0
    assert jobs_of(tmp_path / "out") == before


def test_a_prompt_or_a_file_but_not_both(call: Call, tmp_path: Path) -> None:
    path = file(tmp_path, "prompt\na fox\n")
    for arguments in (["--from", path, "a fox", "--out", tmp_path], ["--out", tmp_path]):
        failed = call("generate", *arguments)
        assert (failed.code, len(failed.err.splitlines())) == (2, 1)


def test_a_receipt_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    for data in (b"", b"{", b"[]", b'{"job": "x", "asked": {}}', b"\xff"):
        (tmp_path / "job.json").write_bytes(data)
        assert read_receipt(tmp_path) is None


def test_a_receipt_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "clip", tmp_path / "file" / "clip.mp4"):
        with pytest.raises(BackendError) as caught:
            write_receipt(out, Receipt(job="0" * 32, asked={}))
        assert (caught.value.code, caught.value.exit_code) == ("folder_unwritable", 5)
        assert f"folder {out.parent if out.suffix else out} " in caught.value.sentence


def test_a_receipt_is_whole_when_all_frames_or_the_film_lie_there(tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "a.mp4"):
        assert not Receipt(job="0" * 32, asked={}).is_whole(out), "the clip has not come"
        assert not Receipt(job="0" * 32, asked={}, frames=1).is_whole(out)
    (tmp_path / "frame_0001.png").touch()
    (tmp_path / "a.mp4").touch()
    for out in (tmp_path, tmp_path / "a.mp4"):
        assert Receipt(job="0" * 32, asked={}, frames=1).is_whole(out)
    assert not Receipt(job="0" * 32, asked={}, frames=2).is_whole(tmp_path)


def test_all_that_a_row_asks_for_tells_it_from_others(tmp_path: Path) -> None:
    for number in range(2):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 64, 3), number, np.uint8))
    header = "prompt,negative_prompt,style,preset,frames,width,height,seed,lora,footage,strength,anchor,fps,guidance"
    cells = ["a", "b", "c", "d", "1", "64", "64", "1", "ink:0.5", "0.png", "0.5", "0.png", "24", "7"]
    others = ["A", "B", "C", "D", "2", "72", "72", "2", "ink:0.6", "1.png", "0.6", "1.png", "25", "8"]
    rows = [cells, *([*cells[:n], other, *cells[n + 1 :]] for n, other in enumerate(others))]
    asked = [asked_of(row) for row in rows_of(file(tmp_path, "\n".join([header, *map(",".join, rows)])))]
    assert all(asked[0] != other for other in asked[1:])
    assert set(asked[0]) == {*Wish.__dataclass_fields__, "fps"} - {"flow_fps"}
    (tmp_path / "0.png").rename(tmp_path / "moved.png")
    (same,) = rows_of(file(tmp_path, f"{header}\n{','.join(cells).replace('0.png', 'moved.png')}\n"))
    assert asked_of(same) == asked[0], "a picture is its content"
