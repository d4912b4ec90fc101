"""The terminal: frames on disk, progress, one sentence for every failure, and no process left behind."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Never

import av
import cv2
import psutil
import pytest

from backend import __main__
from backend.__main__ import main
from backend.cli.arguments import COMMANDS
from shared_protocol.machine import places
from shared_protocol.messages import FailureCode
from tests.backend.harness import ROOT, Running, command, run, until
from tests.unread import unread


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make(out: Path, *options: str, prompt: str = "a pumpkin", **environment: str) -> subprocess.CompletedProcess[str]:
    quick = {"ELEVATOR_FAKE_STEP_SECONDS": "0.002", **environment}
    return run("generate", prompt, "--out", str(out), "--fake", "--grace", "0.2", *options, **quick)


def family() -> list[psutil.Process]:
    """Backends and workers that this process, or one that it started, has left."""
    home = os.environ["ELEVATOR_HOME"]
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ELEVATOR_HOME") == home and process.pid != os.getpid():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def test_generate_writes_frames_and_leaves_no_process(tmp_path: Path) -> None:
    out = tmp_path / "où vas-tu" / "clip"
    done = make(out, "--frames", "3", "--size", "96x64", "--seed", "5", "--style", "sketch")
    assert done.returncode == 0, done.stderr
    assert names(out) == ["frame_0001.png", "frame_0002.png", "frame_0003.png"]
    picture = cv2.imread(str(out / "frame_0003.png"), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.shape == (64, 96, 3)
    assert str(out / "frame_0001.png") in done.stdout
    assert "seed 5" in done.stdout
    for phase in ("loading", "painting", "refining", "decoding"):
        assert phase in done.stderr
    assert until(lambda: not family())
    assert not places.connection_file().exists()


def test_the_styles_defaults_are_taken(tmp_path: Path) -> None:
    done = make(tmp_path / "clip", "--quiet")
    assert done.returncode == 0
    assert len(names(tmp_path / "clip")) == 16
    assert "64 × 64" in done.stdout
    assert not done.stderr


def test_a_running_backend_is_used_and_left_running(backend: Running, tmp_path: Path) -> None:
    assert make(tmp_path / "clip", "--quiet").returncode == 0
    assert backend.process.poll() is None
    with backend.client() as client:
        assert client.status().loads == 1


def test_warnings_are_shown(tmp_path: Path) -> None:
    done = make(tmp_path / "clip", "--quiet", prompt="an unknown:axolotl")
    assert done.returncode == 0
    assert "axolotl" in done.stderr


@pytest.mark.parametrize(
    ("options", "exit_code", "says"),
    [
        (("--style", "nouveau"), 1, "plain"),
        (("--size", "63x64"), 1, "63 × 64"),
        (("--frames", "999"), 1, "999"),
        (("--frames", "0"), 1, "frames"),
        (("--seed", "99999999999"), 1, "seed"),
    ],
)
def test_a_wrong_option_is_one_sentence(tmp_path: Path, options: tuple[str, ...], exit_code: int, says: str) -> None:
    failed = make(tmp_path / "clip", "--quiet", *options)
    assert failed.returncode == exit_code
    assert says in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert not failed.stdout


@pytest.mark.parametrize(
    ("prompt", "exit_code", "says"),
    [
        ("", 1, ["empty"]),
        ("fail:out_of_memory", 4, ["fewer frames"]),
        ("fail:crash", 4, ["begun anew", "process"]),
    ],
)
def test_a_failed_job_is_one_sentence(tmp_path: Path, prompt: str, exit_code: int, says: list[str]) -> None:
    """After one about the second try, if there is one."""
    failed = make(tmp_path / "clip", "--quiet", prompt=prompt)
    assert failed.returncode == exit_code
    for sentence, words in zip(failed.stderr.splitlines(), says, strict=True):
        assert words in sentence
    assert not names(tmp_path / "clip")
    assert until(lambda: not family())


def test_a_folder_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    failed = make(tmp_path / "file" / "clip")
    assert failed.returncode == 5
    assert "cannot be written" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert not places.log_file().exists(), "no backend was started"


def test_frames_of_another_clip_are_not_mixed_in(tmp_path: Path) -> None:
    out = tmp_path / "clip"
    assert make(out, "--frames", "5").returncode == 0
    again = make(out, "--frames", "3")
    assert again.returncode == 5
    assert "--overwrite" in again.stderr
    assert len(names(out)) == 5
    assert make(out, "--frames", "3", "--overwrite").returncode == 0
    assert len(names(out)) == 3


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize(("name", "codec"), [("fox.mp4", "h264"), ("fox.webm", "vp9"), ("FOX.GIF", "gif")])
def test_a_clip_may_be_one_film(tmp_path: Path, name: str, codec: str) -> None:
    out = tmp_path / "où" / name
    made = make(out, "--frames", "3", "--size", "96x64", "--json")
    assert made.returncode == 0, made.stderr
    assert names(out.parent) == [name]
    with av.open(str(out)) as film:
        (stream,) = film.streams.video
        assert (stream.codec.canonical_name, stream.width, stream.height) == (codec, 96, 64)
        assert sum(1 for _ in film.decode(video=0)) == 3
    saved = json.loads(made.stdout.splitlines()[-1])
    assert (saved["type"], saved["folder"], saved["film"], saved["frames"]) == ("Saved", str(out.parent), name, 3)
    before = out.read_bytes()
    refused = make(out, "--quiet")
    assert refused.returncode == 5
    assert f"{out} is there already. Choose another name, or add --overwrite" in refused.stderr
    assert out.read_bytes() == before
    assert make(out, "--quiet", "--frames", "2", "--overwrite").returncode == 0
    assert out.read_bytes() != before
    failed = make(tmp_path / "no.mp4", prompt="fail:out_of_memory")
    assert failed.returncode == 4
    assert "no.mp4" not in " ".join(names(tmp_path)), "nothing half is left"


def test_interrupting_generate_ends_everything_it_started(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("generate", "a pumpkin", "--out", str(tmp_path / "clip"), "--fake", "--grace", "0.2"),
        cwd=ROOT,
        env={**os.environ, "ELEVATOR_FAKE_STEP_SECONDS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if "painting" in line:
                break
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
        said = process.stderr.read()
    assert process.returncode == 130
    assert "Interrupted." in said
    assert "Traceback" not in said
    assert until(lambda: not family())


def test_status_tells_what_runs_and_which_styles_there_are(backend: Running) -> None:
    shown = run("status")
    assert shown.returncode == 0
    for word in ("plain", "sketch", "pixel_art", "neon", "Running: nothing", "device: none"):
        assert word in shown.stdout


@pytest.mark.parametrize("name", ["status", "stop"])
def test_without_a_backend_there_is_one_sentence(name: str) -> None:
    failed = run(name)
    assert failed.returncode == 3
    assert failed.stderr.startswith("No backend runs.")
    assert len(failed.stderr.splitlines()) == 1


def test_stop_ends_the_backend(backend: Running) -> None:
    assert run("stop").returncode == 0
    assert backend.process.wait(10) == 0


def test_a_connection_file_that_others_can_read_is_refused(backend: Running) -> None:
    if os.name != "posix":
        pytest.skip("file modes are POSIX")
    places.connection_file().chmod(0o644)
    failed = run("status")
    assert failed.returncode == 3
    assert "Others can read" in failed.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["generate", "--json"], "Give either a prompt"),
        (["generate", "x", "--json", "--size", "big"], "argument --size"),
        (["genrate", "x", "--json"], 'did you mean "generate"?'),
        (["generate", "a", "fox", "--json"], 'put the prompt into quotes: "a fox"'),
    ],
)
def test_scripts_are_told_of_what_is_not_understood(words: list[str], says: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    error = json.loads(done.stdout.splitlines()[-1])
    assert (error["type"], error["code"], error["exit_code"]) == ("Error", "usage", 2)
    assert says in error["message"]
    assert "--help" in error["next_step"]
    assert says in done.stderr


def test_a_fault_of_a_command_is_kept_where_it_says(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(options: object) -> Never:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("backend.cli.control.status", fault)
    assert main(["status"]) == 70
    log = places.commands_log_file()
    assert str(log) in capsys.readouterr().err
    kept = log.read_text(encoding="utf-8")
    assert "The command status failed." in kept
    assert "| ZeroDivisionError: a fault" in kept
    assert os.name != "posix" or log.stat().st_mode & 0o077 == 0


def test_a_fault_that_cannot_be_kept_is_shown(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.cli.control.status", lambda options: 1 // 0)
    home.mkdir(parents=True)
    (home / "state").write_text("a file in its place", encoding="utf-8")
    assert main(["status"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_without_the_packages_there_is_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "backend", "status"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.search("does not have the package [a-z]+: set everything up with", done.stderr)
    assert len(done.stderr.splitlines()) == 1


def test_a_fault_of_the_server_is_in_its_own_log(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.cli.serving.serve", lambda options: 1 // 0)
    assert main(["serve"]) == 70
    assert str(places.log_file()) in capsys.readouterr().err
    assert not places.commands_log_file().exists()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_is_utf_8_whatever_the_terminal_is(encoding: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command("generate", "é 猫 →", "--from", str(tmp_path / "ß 影.csv"), "--json"),
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    done = subprocess.run(
        command("generate", "--from", str(tmp_path / "ß 影.csv"), "--json"),
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert "ß 影.csv" in json.loads(done.stdout.decode("utf-8").splitlines()[-1])["message"]


def test_a_home_that_cannot_be_written_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (["serve", "--fake"], ["generate", "x", "--fake", "--out", str(tmp_path / "out")], ["key", "studio"]):
        failed = run(*words, ELEVATOR_HOME=str(tmp_path / "file" / "home"))
        assert failed.returncode == 5, failed.stderr
        assert "ELEVATOR_HOME" in failed.stderr
        assert len(failed.stderr.splitlines()) == 1


def test_commands_that_follow_find_a_backend(tmp_path: Path) -> None:
    """The one that made the clip has ended meanwhile."""
    assert make(tmp_path / "first", "--frames", "2").returncode == 0
    assert until(lambda: not family())
    listed = run("results")
    assert (listed.returncode, listed.stderr) == (0, "")
    job = listed.stdout.splitlines()[1].split()[0]
    assert run("results", job, "--out", str(tmp_path / "again")).returncode == 0
    assert run("queue").returncode == 0
    conformed = run("conform", job, "--fps", "16", "--out", str(tmp_path / "16"))
    assert conformed.returncode == 0, conformed.stderr
    assert run("cancel", job).returncode == 0
    assert until(lambda: not family())


def test_a_backend_elsewhere_that_is_not_there_is_said_soon() -> None:
    assert run("key", "studio").returncode == 0
    key = places.config_folder() / "keys" / "studio.pub"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    assert run("profile", "studio", "--endpoint", address, "--server-key", str(key)).returncode == 0
    failed = run("queue", "--profile", "studio")
    assert failed.returncode == 3
    assert failed.stderr.startswith(f"Nothing answers at {address.replace(':', ', port ')}. Look whether")


def test_the_style_that_was_meant_is_said(tmp_path: Path) -> None:
    failed = make(tmp_path / "out", "--style", "plian", "--json")
    assert failed.returncode == 1
    assert 'There is no style "plian". Did you mean "plain"? Choose one of these' in failed.stderr
    assert json.loads(failed.stdout.splitlines()[-1])["code"] == "unknown_style"


def test_help_and_usage() -> None:
    assert "Exit codes" in run("--help").stdout
    assert run("generate").returncode == 2
    assert run("generate", "x", "--out", "y", "--size", "big").returncode == 2
    assert run("generate", "x", "--out", "y", "--seed", "-2").returncode == 2
    assert FailureCode


def options_of(parser: argparse.ArgumentParser, name: str) -> set[str]:
    (action,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {text for each in action.choices[name]._actions for text in each.option_strings or (each.dest,)}


@pytest.mark.parametrize("name", [*COMMANDS, "completion"])
def test_a_command_that_is_asked_for_has_all_its_options(name: str) -> None:
    asked = __main__._parser(name)
    assert options_of(asked, name) == options_of(__main__._parser(), name)
    assert options_of(asked, "serve" if name not in ("serve", "completion") else "queue") == (
        {"-h", "--help"} if name != "completion" else options_of(__main__._parser(), "queue")
    )


def test_a_server_begins_without_what_only_other_commands_need() -> None:
    """A clip is waited for from Blender's click on."""
    code = (
        "import sys; from backend import __main__; __main__._parser('serve');"
        "print(*(name for name in sys.modules if name.startswith('backend.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    names = set(done.stdout.split())
    assert "backend.cli.serving" in names
    others = ("styling", "models", "service", "report", "diagnosis", "queueing", "batch")
    assert not names & {f"backend.cli.{other}" for other in others}


def test_a_clip_that_is_saved_ends_with_0_though_nobody_reads_it(tmp_path: Path) -> None:
    out = tmp_path / "clip"
    done = unread(command("generate", "a fox", "--out", str(out), "--frames", "2", "--fake", "--quiet"), ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert names(out) == ["frame_0001.png", "frame_0002.png"]


@pytest.mark.parametrize("encoding", ["ascii", "cp874", "cp932", "cp1251"])
def test_a_clip_that_is_saved_ends_with_0_in_every_code_page(tmp_path: Path, encoding: str) -> None:
    done = subprocess.run(
        command("generate", "a fox", "--out", str(tmp_path / "clip"), "--frames", "1", "--fake", "--quiet"),
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"frame_0001.png" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="played for POSIX, with what Linux tells of descriptors")
def test_a_disk_that_keeps_nothing_to_its_owner_is_said_at_once(tmp_path: Path) -> None:
    """exFAT, shares, and Windows' disks under WSL: every file is 0777, whatever was asked, and has no second name."""
    stick, shim = tmp_path / "stick", tmp_path / "shim"
    stick.mkdir()
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(DISK.format(stick=str(stick)), encoding="utf-8")
    played = {"PYTHONPATH": f"{shim}{os.pathsep}{ROOT}", "ELEVATOR_HOME": str(stick)}
    for words in (
        ("generate", "a fox", "--out", str(tmp_path / "o"), "--fake"),
        ("serve", "--fake"),
        ("key", "studio"),
    ):
        failed = run(*words, **played)
        assert failed.returncode == 1, words
        assert failed.stderr.splitlines()[-1].startswith(f"The disk of {stick}/"), failed.stderr
        assert "ELEVATOR_HOME" in failed.stderr
    said = run("doctor", **played).stdout
    assert f"the disk of {stick}/" in said
    assert "chmod" not in said


DISK = """
import os
stat, fstat = os.stat, os.fstat
def open_to_all(state, path):
    if not str(path).startswith({stick!r}):
        return state
    parts = list(state)
    parts[0] |= 0o777
    more = ("st_atime_ns", "st_mtime_ns", "st_ctime_ns", "st_blksize", "st_blocks", "st_rdev")
    return os.stat_result(parts, {{name: getattr(state, name) for name in more}})
def name_of(number):
    try:
        return os.readlink(f"/proc/self/fd/{{number}}")
    except OSError:
        return ""
def all_stat(path, *more, **named):
    return open_to_all(stat(path, *more, **named), name_of(path) if isinstance(path, int) else os.fspath(path))
def all_fstat(number):
    return open_to_all(fstat(number), name_of(number))
os.stat, os.fstat = all_stat, all_fstat
"""
