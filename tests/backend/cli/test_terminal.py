"""Progress in a terminal and in a pipe."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from backend.cli.following import Watcher
from backend.cli.output import Output, warn
from backend.cli.terminal import CLEAR_LINE, ProgressLine, bar
from backend.client.saving import NewFrames, check_space
from backend.failures import BackendError
from elevator.pictures.clip_folder import frames_in
from shared_protocol.messages import Accepted, Notice, Progress, Queue, QueueState

JOB = "0" * 32


def progress(phase: str, step: int = 0, steps: int = 0, **fields: Any) -> Progress:
    return Progress(job=JOB, phase=phase, step=step, steps=steps, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (progress("loading"), "loading …"),
        (progress("waiting", seconds_left=600.0), "waiting for its start …  10 min left"),
        (progress("waiting", position=1), "waiting behind 1 job …"),
        (progress("waiting", position=3), "waiting behind 3 jobs …"),
        (progress("loading", bytes_done=500_000_000, bytes_total=2_000_000_000), "500/2000 MB  loading"),
        (progress("painting", 5, 10, seconds_left=7.4), f"[{'#' * 15}{'.' * 15}] 5/10  painting  7 s left"),
        (progress("painting", 12, 10), f"[{'#' * 30}] 12/10  painting"),
    ],
)
def test_a_bar_says_where_a_job_stands(event: Progress, text: str) -> None:
    assert bar(event).endswith(text)


class Terminal:
    """Standard error that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_a_terminal_has_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with ProgressLine() as line:
        line.show(progress("painting", 1, 2), "row 1")
        line.show(progress("painting", 2, 2), "row 1")
        line.say("A sentence.")
    shown = [part for part in terminal.text.split(CLEAR_LINE) if part]
    assert [part.partition("  ")[0] for part in shown] == ["row 1", "row 1", "A sentence.\n"]
    with ProgressLine() as line:
        line.show(progress("loading"))
    assert terminal.text.endswith("loading …\n")


def test_a_pipe_has_a_line_for_each_phase_of_each_job(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine() as line:
        for step in range(3):
            line.show(progress("painting", step, 3), "row 1")
            line.show(progress("refining", step, 3), "row 2")
        line.show(progress("waiting", position=2))
        line.show(progress("waiting", position=1))
    with ProgressLine(quiet=True) as line:
        line.show(progress("painting"))
        line.say("A sentence.")
    assert len(capsys.readouterr().err.splitlines()) == 5


def test_what_a_job_has_to_say_is_told_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = Watcher(ProgressLine(), Output(json=False), quiet=True)
    for event in (
        Accepted(job=JOB, position=0, warnings=("A word.",)),
        progress("painting", 1, 2),
        Notice(job=JOB, message="It is tried again."),
    ):
        watcher.show(event, "row 1")
    watcher.show(Queue(queue=QueueState(stopped="It has stopped.")), "row 1")
    watcher.show(Notice(job=JOB, message="Once more."))
    told = ["row 1: A word.", "row 1: It is tried again.", "It has stopped.", "Once more."]
    assert capsys.readouterr().err.splitlines() == told


# Frames -----------------------------------------------------------------------------------------------------


def test_frames_take_their_places_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "frame_0007.png").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), NewFrames(tmp_path, overwrite=True) as frames:  # noqa: PT012
        frames.write(0, b"new")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["frame_0007.png"]
    with NewFrames(tmp_path, overwrite=True) as frames:
        for index in (0, 9_998, 9_999):
            frames.write(index, b"new")
        assert [path.name for path in frames_in(tmp_path)] == ["frame_0007.png"]
    assert frames.paths == frames_in(tmp_path)
    assert [path.name for path in frames.paths] == ["frame_0001.png", "frame_9999.png", "frame_10000.png"]
    assert len(list(tmp_path.iterdir())) == 3
    if os.name == "posix":
        other = tmp_path / "other"
        other.touch()
        assert frames.paths[0].stat().st_mode == other.stat().st_mode, "others may read frames if the user lets them"


def test_a_disk_without_room_is_said_before_the_work(tmp_path: Path) -> None:
    check_space(tmp_path, 1)
    with pytest.raises(BackendError) as caught:
        check_space(tmp_path, 2**62)
    assert caught.value.code == "disk_full"


STEERS = "a\x1b[2Jfox\r\x07\u202e\x9b1m\udcff"


def test_what_comes_from_elsewhere_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=False).say(f"{STEERS}\nsecond line\t影\u200cé")
    Output(json=False).table(["prompt"], [[STEERS]])
    warn(STEERS)
    ProgressLine().say(STEERS)
    said = capsys.readouterr()
    assert "a\\x1b[2Jfox\\r\\x07\\u202e\\x9b1m\\udcff\nsecond line\t影\u200cé\n" in said.out
    for text in (said.out, said.err):
        assert not set(text) & set(STEERS) - set("a[2Jfox1m")
    Output(json=True).object({"prompt": STEERS[:-1]})
    assert json.loads(capsys.readouterr().out) == {"prompt": STEERS[:-1]}, "scripts get it as it is"
