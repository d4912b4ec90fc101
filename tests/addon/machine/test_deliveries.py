"""Clips on their way into the project: copied or written, and to the spare folder where the project's refuses."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from blender_addon.clip.actions import Action, Copy, Send, Tidy, Write
from blender_addon.clip.job import Job, State
from blender_addon.clip.session import Session
from blender_addon.machine import deliveries
from blender_addon.machine.backend_process import BackendError
from blender_addon.machine.deliveries import Deliveries
from shared_protocol.messages import Frame
from tests.addon.sessions import PNG, A, done, fetched, request, running

FRAMES = [f"frame_000{number}.png" for number in (1, 2, 3, 4)]


class Edit:
    """A session and its deliveries, which do for each other what they ask for."""

    def __init__(self, folder: Path, *, local: bool) -> None:
        self.project, self.spare = folder / "project" / "a-fox", folder / "spare"
        self.session, self.job = running(local=local)
        self.deliveries = Deliveries(self.session, lambda: self.spare)
        self.source = folder / "result"
        self.source.mkdir()
        for name in FRAMES:
            (self.source / name).write_bytes(PNG + name.encode())

    def begin(self) -> None:
        self.session.receive(msgspec.structs.replace(done(A), folder=str(self.source)))
        self.look()

    def look(self) -> None:
        """What the timeline does again and again: the strip is still where it was."""
        self.perform(self.session.see({A: str(self.project)}))

    def perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Copy):
                self.perform(self.deliveries.copy(action))
            elif isinstance(action, Write):
                self.perform(self.deliveries.write(action))
            elif isinstance(action, Tidy):
                self.deliveries.drop(action.job)
            else:
                assert isinstance(action, Send)

    def wait(self) -> None:
        """Until nothing is on its way any more."""
        deadline = time.monotonic() + 30
        while self.job.state is State.FETCHING:
            assert time.monotonic() < deadline
            self.perform(self.deliveries.look())
            self.look()
            time.sleep(0.01)

    def send(self) -> None:
        for index in range(4):
            self.perform(self.session.receive(Frame(job=A, index=index, frames=4), (PNG,)))
            self.look()
        self.perform(self.session.receive(fetched(A, range(4))))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.process
def test_a_clip_is_copied_beside_the_blend(tmp_path: Path) -> None:
    edit = Edit(tmp_path, local=True)
    edit.begin()
    edit.wait()
    assert edit.job.state is State.FILLING
    assert names(edit.project) == FRAMES
    assert edit.job.warnings == []
    assert list(edit.deliveries.look()) == [], "it is told once"


@pytest.mark.process
def test_a_clip_goes_to_the_spare_folder_when_the_projects_cannot_be_written(tmp_path: Path) -> None:
    edit = Edit(tmp_path, local=True)
    edit.project.parent.write_text("in the way")
    edit.begin()
    edit.wait()
    spare = edit.spare / "a-fox"
    assert (edit.job.state, edit.job.folder) == (State.FILLING, str(spare)), "where the strip will find it"
    assert names(spare) == FRAMES
    (warning,) = edit.job.warnings
    assert warning.startswith(f"The frames cannot be written to {edit.project}: ")
    assert warning.endswith(f" The frames are in {spare} instead.")


@pytest.mark.process
def test_when_neither_can_be_written_the_clip_fails_and_nothing_is_tried_for_ever(tmp_path: Path) -> None:
    edit = Edit(tmp_path, local=True)
    edit.project.parent.write_text("in the way")
    edit.spare.write_text("in the way, too")
    edit.begin()
    edit.wait()
    assert edit.job.state is State.FAILED
    assert edit.job.problem is not None
    assert edit.job.problem.sentence.startswith(f"The frames cannot be written to {edit.spare / 'a-fox'}: ")
    assert edit.job.problem.next_step == "Make room, then press Try Again."


def test_frames_that_are_there_already_are_not_copied(tmp_path: Path) -> None:
    edit = Edit(tmp_path, local=True)
    edit.project.mkdir(parents=True)
    for name in FRAMES:
        (edit.project / name).touch()
    edit.begin()
    assert edit.job.state is State.FILLING
    assert (edit.project / FRAMES[0]).read_bytes() == b""


@pytest.mark.process
def test_frames_that_the_backend_has_no_more_are_no_matter_of_room(tmp_path: Path) -> None:
    edit = Edit(tmp_path, local=True)
    for name in FRAMES:
        (edit.source / name).unlink()
    edit.begin()
    edit.wait()
    assert edit.job.problem is not None
    assert edit.job.problem.sentence == f"The backend's folder {edit.source} holds no frames any more."
    assert edit.job.problem.next_step == "Press Try Again."
    assert not edit.spare.exists(), "no other folder has them"


@pytest.mark.process
def test_python_that_does_not_start_is_no_matter_of_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = Edit(tmp_path, local=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    edit.begin()
    assert edit.job.problem is not None
    assert edit.job.problem.next_step == "Press Try Again."


@pytest.mark.process
@pytest.mark.parametrize("has_come", [False, True])
def test_what_is_on_its_way_follows_the_file(tmp_path: Path, has_come: bool) -> None:
    """Also a copy that has ended, of which nobody has heard yet."""
    edit = Edit(tmp_path, local=True)
    edit.begin()
    deadline = time.monotonic() + 30
    while has_come and not edit.project.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    old, new = edit.project, tmp_path / "saved" / "elevator"
    edit.perform(edit.deliveries.follow_to(new))
    edit.project = new / "a-fox"
    edit.wait()
    assert names(edit.project) == FRAMES
    assert not old.exists()
    edit.perform(edit.deliveries.follow_to(new))
    edit.perform(edit.deliveries.follow_to(tmp_path / "again"))
    assert names(Path(edit.job.folder)) == FRAMES
    assert Path(edit.job.folder).parent == tmp_path / "again", "frames that are not shown yet, too"


@pytest.mark.process
def test_what_is_on_its_way_ends_with_blender(tmp_path: Path) -> None:
    edit = Edit(tmp_path, local=True)
    edit.begin()
    edit.deliveries.close()
    assert list(edit.deliveries.look()) == []
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.process
def test_a_copy_of_a_clip_that_was_cancelled_meanwhile_is_left_alone(tmp_path: Path) -> None:
    edit = Edit(tmp_path, local=True)
    edit.project.parent.write_text("in the way")
    edit.begin()
    edit.perform(edit.session.cancel(A))
    assert list(edit.deliveries.look()) == [], "the process was ended"
    assert edit.job.state is State.CANCELLED
    assert not edit.spare.exists()


@pytest.mark.process
def test_a_failure_that_is_told_after_the_end_of_a_clip_changes_nothing(tmp_path: Path) -> None:
    """The clip may end while its copy is looked at."""
    edit = Edit(tmp_path, local=True)
    edit.project.parent.write_text("in the way")
    edit.begin()
    assert edit.session.could_not_fill(A, "Frames are missing.") == [Tidy(A)]
    deadline = time.monotonic() + 30
    while edit.deliveries._under_way:
        assert time.monotonic() < deadline
        assert list(edit.deliveries.look()) == []
        time.sleep(0.01)
    assert edit.job.warnings == []


def test_frames_that_are_fetched_are_written(tmp_path: Path) -> None:
    edit = Edit(tmp_path, local=False)
    edit.begin()
    edit.send()
    assert edit.job.state is State.FILLING
    assert names(edit.project) == FRAMES
    assert (edit.project / FRAMES[3]).read_bytes() == PNG


def test_frames_that_are_fetched_go_to_the_spare_folder_together(tmp_path: Path) -> None:
    edit = Edit(tmp_path, local=False)
    edit.begin()
    for index in (0, 1):
        edit.perform([Write(A, index, PNG)])
    (edit.project / ".frame_0003.png").touch()
    (edit.project / FRAMES[2]).mkdir()  # nothing can be written there
    edit.send()
    spare = edit.spare / "a-fox"
    assert (edit.job.state, edit.job.folder) == (State.FILLING, str(spare))
    assert names(spare)[-4:] == FRAMES
    (warning,) = edit.job.warnings
    assert warning.startswith(f"Frame 3 cannot be written to {edit.project}: ")


def test_frames_that_can_be_written_nowhere_end_the_clip(tmp_path: Path) -> None:
    edit = Edit(tmp_path, local=False)
    edit.project.parent.write_text("in the way")
    edit.spare.write_text("in the way, too")
    edit.begin()
    edit.send()
    assert edit.job.state is State.FAILED
    assert edit.job.problem is not None
    assert edit.job.problem.sentence.startswith(f"Frame 1 cannot be written to {edit.project}: "), "where it should be"


def test_what_is_no_picture_is_not_written(tmp_path: Path) -> None:
    session = Session()
    session.jobs[A] = Job(A, request(), str(tmp_path / "a"), State.FETCHING)
    deliveries = Deliveries(session, lambda: tmp_path / "spare")
    assert list(deliveries.write(Write(A, 0, b"<html>"))) == [Tidy(A)]
    assert not list(tmp_path.rglob("*.png"))


def test_a_blender_without_a_python_of_its_own_copies_with_the_backends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nothing() -> None:
        raise BackendError("No backend is installed.", "Install one.")

    monkeypatch.setattr(sys, "executable", "/opt/blender/blender")
    monkeypatch.setattr(deliveries, "find", nothing)
    session, job = running()
    session.receive(done(A))
    (copy,) = session.see({A: str(tmp_path / "clip")})
    assert isinstance(copy, Copy)
    Deliveries(session, lambda: tmp_path).copy(copy)
    assert job.problem is not None
    assert job.problem.sentence == "The frames cannot be copied: No backend is installed."


@pytest.mark.process
def test_that_nothing_is_there_any_more_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit, told = Edit(tmp_path, local=True), []
    shutil.rmtree(edit.source)
    monkeypatch.setattr(Session, "could_not_fill", lambda self, job, why: told.append(why) or ())
    edit.begin()
    deadline = time.monotonic() + 30
    while not told:
        assert time.monotonic() < deadline
        list(edit.deliveries.look())
        time.sleep(0.01)
    list(edit.deliveries.look())
    (why,) = told
    assert "holds no frames any more" in why
