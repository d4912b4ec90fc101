"""The Python API against a real backend."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from backend.client import api, profiles
from backend.client.api import Backend, BackendError, Job, Wish, connect
from backend.client.failures import ClientFailure
from backend.client.uploading import WINDOW, footage_files, send_file
from shared_protocol import connection
from shared_protocol.machine import places
from shared_protocol.messages import Accepted, Cancelled, Chunk, Done, Failed, Frame, Notice, Offer, Progress, Queue
from shared_protocol.wire import CHUNK_BYTES
from tests.backend.harness import ROOT, Running, pid_of, running, until

SMALL: dict[str, Any] = {"frames": 4, "seed": 1}


@pytest.fixture
def connected(backend: Running) -> Iterator[Backend]:
    """A conversation with a backend with the fake maker."""
    with connect(name="test") as connected:
        yield connected


@pytest.fixture
def slow() -> Iterator[Backend]:
    """The same, with a backend that takes its time."""
    with running(step_seconds=0.1), connect(name="test") as connected:
        yield connected


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def picture(path: Path, seed: int = 0, side: int = 64) -> Path:
    """A PNG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def test_events_end_with_one_end_and_frames_come_to_the_folder(connected: Backend, tmp_path: Path) -> None:
    job = connected.submit("a red fox", style="sketch", width=96, **SMALL)
    assert job.accepted == Accepted(job=job.id, position=0, warnings=())
    events = list(job.events())
    assert isinstance(events[0], Accepted)
    assert {type(event) for event in events[1:-1]} >= {Progress, Frame}
    assert isinstance(events[-1], Done)
    assert job.end == events[-1]
    assert not list(job.events())
    paths = job.fetch(tmp_path / "a" / "fox")
    assert [path.name for path in paths] == [f"frame_000{number}.png" for number in (1, 2, 3, 4)]
    assert names(tmp_path / "a" / "fox") == [path.name for path in paths]
    done = job.wait()
    assert (done.frames, done.width, done.height, done.seed) == (4, 96, 64, 1)
    for path in paths:
        assert path.read_bytes() == (Path(done.folder) / path.name).read_bytes()
    assert connected.jobs(1).jobs[0].received


def test_frames_are_fetched_in_as_many_portions_as_it_takes(
    connected: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.client.job.FETCH_FRAMES", 3)
    job = connected.submit("a red fox", frames=7)
    assert len(job.fetch(tmp_path / "out")) == len(names(tmp_path / "out")) == 7


def test_a_clip_that_is_not_whole_is_not_taken(
    connected: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = connected.submit("a red fox", frames=3)
    job.wait()
    frames = list(job.frames())
    monkeypatch.setattr(job, "frames", lambda: frames[:2])
    with pytest.raises(BackendError) as caught:
        job.fetch(tmp_path / "out")
    assert caught.value.code == "frames_missing"
    assert not names(tmp_path / "out")
    assert not connected.jobs(1).jobs[0].received


def test_frames_of_another_clip_are_in_the_way_or_go(connected: Backend, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = (connected.submit("a red fox", frames=frames) for frames in (5, 2))
    first.fetch(out)
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BackendError) as caught:
        second.fetch(out)
    assert caught.value.code == "folder_in_use"
    assert len(names(out)) == 6
    second.fetch(out, overwrite=True)
    assert names(out) == ["frame_0001.png", "frame_0002.png", "notes.txt"]


def test_a_full_disk_leaves_no_frame_and_the_result_in_the_backend(
    connected: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource", reason="limits are POSIX")
    job = connected.submit("a red fox", width=128, height=128, **SMALL)
    size = max(path.stat().st_size for path in Path(job.wait().folder).glob("frame_*.png"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, before[1]))
    try:
        with pytest.raises(BackendError) as caught:
            job.fetch(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.exit_code == 5
    assert not names(tmp_path / "out")
    view = connected.jobs(1).jobs[0]
    assert view.has_result
    assert not view.received
    assert len(job.fetch(tmp_path / "out")) == 4


def test_a_request_that_cannot_be_used_raises_what_the_backend_says(connected: Backend) -> None:
    for clip, code in [
        (Wish("a fox", style="nouveau"), "unknown_style"),
        (Wish(" "), "empty_prompt"),
        (Wish("a fox", width=63), "size_out_of_range"),
        (Wish("a fox", frames=0), "bad_request"),
        (Wish("a fox", seed=-1), "bad_request"),
        (Wish("a fox", preset="nouveau"), "bad_request"),
        (Wish("a fox", settings={"steps": -1}), "bad_request"),
        (Wish("a fox", loras=[("../ink", 1.0)]), "lora_missing"),
        (Wish("a fox", strength=0.5), "bad_request"),
        (Wish("a \ud800 fox"), "bad_request"),
        (Wish("a fox" * 500), "bad_request"),
        (Wish("a fox" * 500_000), "bad_request"),
    ]:
        with pytest.raises(BackendError) as caught:
            connected.submit(clip)
        assert (caught.value.code, caught.value.exit_code) == (code, 1), clip
        assert caught.value.sentence
        assert caught.value.next_step
    assert connected.submit("a fox", **SMALL).wait().frames == 4, "the conversation goes on"


def test_a_failed_job_raises_at_its_end(connected: Backend) -> None:
    job = connected.submit("fail:out_of_memory", **SMALL)
    events = list(job.events())
    assert isinstance(events[-1], Failed)
    with pytest.raises(BackendError, match="memory") as caught:
        job.wait()
    assert (caught.value.code, caught.value.exit_code) == ("out_of_memory", 4)
    with pytest.raises(BackendError):
        job.fetch(Path("never"))
    assert not Path("never").exists()


def test_another_backend_is_tried_if_the_first_lets_nobody_in_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose time is over."""
    found: list[str] = []
    let_in = 99

    def running_one() -> str | None:
        return None if not found else found[-1]

    def begin(**options: object) -> str:
        found.append(f"backend {len(found)}")
        return found[-1]

    def conversation(reached: str, **options: object) -> str:
        if len(found) < let_in:
            found.append(f"backend {len(found)}")
            raise ClientFailure("not_reached", detail="as the test asked")
        return reached

    monkeypatch.setattr(api, "find_running", running_one)
    monkeypatch.setattr(api, "start_backend", begin)
    monkeypatch.setattr(api, "Backend", conversation)

    def tried(**options: Any) -> int:
        """How many backends there were, until it gave up."""
        found[:] = ["backend 0"]
        with pytest.raises(BackendError) as caught:
            connect(**options)
        assert caught.value.code == "not_reached"
        return len(found)

    assert tried(start=True) == 1 + api.ATTEMPTS
    assert tried() == 1 + 1, "who starts none has one try"
    monkeypatch.setattr(api, "find_running", lambda: found[0])
    assert tried(start=True) == 1 + 1, "the same would not do otherwise"
    monkeypatch.setattr(api, "find_running", running_one)
    found[:], let_in = ["backend 0"], 3
    reached: object = connect(start=True)
    assert reached == "backend 2"


def test_what_a_clip_would_take_is_told_and_nothing_is_submitted(connected: Backend) -> None:
    told = connected.estimate("a red fox", style="sketch", **SMALL)
    assert told.problem == ""
    assert connected.estimate(Wish("a red fox", style="sketch", **SMALL)).problem == ""
    assert "nouveau" in connected.estimate("a red fox", style="nouveau").problem
    assert not connected.jobs(9).jobs


def test_styles_are_those_that_the_backend_told_last(connected: Backend, home: Path) -> None:
    assert "mine" not in connected.styles
    (home / "config" / "styles").mkdir(parents=True)
    text = 'title = "T"\nbase = "embedded"\npreset = "published"\nexample_prompt = "a cat"\n'
    (home / "config" / "styles" / "mine.toml").write_text(text, encoding="utf-8")
    assert connected.submit("a fox", style="mine", frames=1).wait().frames == 1
    connected.status()
    assert connected.styles["mine"].title == "T"


def test_a_job_that_was_not_followed_to_its_end_has_no_result(slow: Backend) -> None:
    job = slow.submit("a fox", **SMALL)
    assert job.id in repr(job)
    with pytest.raises(BackendError) as caught:
        job.result()
    assert caught.value.code == "job_not_followed"
    assert isinstance(slow.cancel(job.id), Cancelled)


def test_a_worker_that_dies_once_is_told_and_the_clip_comes(connected: Backend) -> None:
    job = connected.submit("fail:crash-once", **SMALL)
    events = list(job.events())
    assert any(isinstance(event, Notice) and event.again for event in events)
    assert isinstance(events[-1], Done)


def test_cancel_ends_this_job_and_no_other(slow: Backend) -> None:
    first, second, third = (slow.submit("a fox", **SMALL) for _ in range(3))
    assert isinstance(slow.cancel(second.id), Cancelled)
    first.cancel()
    with pytest.raises(BackendError) as caught:
        first.wait()
    assert (caught.value.code, caught.value.exit_code) == ("cancelled", 130)
    assert third.end is None
    assert [view.job for view in slow.jobs().jobs] == [third.id]
    assert isinstance(slow.cancel(third.id), Cancelled)
    with pytest.raises(BackendError) as caught:
        slow.cancel("0" * 32)
    assert caught.value.code == "unknown_job"


def test_several_jobs_are_followed_at_once(connected: Backend) -> None:
    jobs = [connected.submit("a fox", frames=2, seed=seed) for seed in range(3)]
    ended: list[Job] = []
    while any(job.end is None for job in jobs):
        job, incoming = connected.next_event(jobs)
        assert job is None or incoming.message.job == job.id  # type: ignore[attr-defined]
        if job is not None and job.end is not None:
            ended.append(job)
    assert ended == jobs


def test_a_job_is_taken_up_again_by_another_client(slow: Backend, tmp_path: Path) -> None:
    running_one, waiting = (slow.submit("a fox", frames=2, seed=seed) for seed in (1, 2))
    with connect(name="another") as other:
        again = other.job(running_one.id)
        assert again.accepted is None
        assert isinstance(list(again.events())[-1], Done)
        after = other.job(running_one.id)  # and once more after its end
        assert after.wait().seed == 1
        assert len(after.fetch(tmp_path)) == 2
        with pytest.raises(BackendError) as caught:
            other.job("0" * 32)
        assert caught.value.code == "unknown_job"
        assert "0" * 32 not in other._jobs, "nothing is kept of what is not there"
        assert isinstance(other.cancel(waiting.id), Cancelled)
    assert isinstance(list(waiting.events())[-1], Cancelled), "who submitted it hears of it, too"


def test_a_client_that_comes_back_under_its_name_hears_of_its_jobs(backend: Running) -> None:
    with connect(name="test") as first:
        client_id = first.client_id
        job = first.submit("a fox", **SMALL)
    with connect(name="test", client_id=client_id) as second:
        assert second.client_id == client_id
        assert second.jobs(1).jobs[0].mine
        assert second.job(job.id).wait().frames == 4


def test_jobs_are_found_by_their_first_digits(slow: Backend) -> None:
    jobs = [slow.submit("a fox", **SMALL) for _ in range(2)]
    for job in jobs:
        assert slow.find(job.id).job == slow.find(job.id[:12].upper()).job == job.id
    for start, code in [("", "no_such_job"), (jobs[0].id[:3], "no_such_job"), ("nothex", "no_such_job")]:
        with pytest.raises(BackendError) as caught:
            slow.find(start)
        assert caught.value.code == code
    with pytest.raises(BackendError) as caught:
        slow.find("0" * 32)
    assert caught.value.code == "unknown_job"
    for job in jobs:
        slow.cancel(job.id)


def test_all_jobs_are_listed_page_by_page(connected: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    past = connected.submit("a fox", **SMALL)
    past.wait()
    connected.pause()
    jobs = [connected.submit("a fox", **SMALL) for _ in range(5)]
    monkeypatch.setattr(api, "LISTED", 2)
    told = connected.jobs(1)
    assert [view.job for view in told.jobs] == [*(job.id for job in jobs), past.id]
    assert (told.left_out, told.after, told.next) == (0, "", "")
    assert connected.find(jobs[4].id[:8]).job == jobs[4].id


def test_the_queue_is_paused_moved_and_resumed(connected: Backend, tmp_path: Path) -> None:
    assert connected.pause().paused
    jobs = [connected.submit("a fox", frames=2, seed=seed) for seed in range(3)]
    assert [view.job for view in connected.jobs().jobs] == [job.id for job in jobs]
    moved = connected.move(jobs[2].id, 0)
    assert [view.job for view in moved.jobs] == [jobs[2].id, jobs[0].id, jobs[1].id]
    with connect(name="another") as other:
        assert not other.resume().paused
    assert not connected.status().queue.paused, "which does not swallow what comes unasked"
    ended: list[Job] = []
    said = []
    while len(ended) < 3:
        job, incoming = connected.next_event(jobs)
        if job is None:
            said.append(incoming.message)
        elif job.end is not None:
            ended.append(job)
    assert ended == [jobs[2], jobs[0], jobs[1]]
    assert any(isinstance(message, Queue) and not message.queue.paused for message in said)
    assert pid_of(connected.free()) == 0
    connected.forget(jobs[0].id)
    with pytest.raises(BackendError) as caught:
        jobs[0].fetch(tmp_path / "out")
    assert caught.value.code == "no_result"
    assert not names(tmp_path / "out")


def test_new_pictures_are_made_between_the_clips_own(connected: Backend, tmp_path: Path) -> None:
    job = connected.submit("a pumpkin", frames=3, width=64, height=64, flow_fps=Fraction(30_000, 1001))
    done = job.wait()
    assert (done.frames, done.fps) == (11, Fraction(30_000, 1001))  # 3 / 8 seconds
    paths = job.fetch(tmp_path / "out")
    assert len(paths) == 11
    assert len({path.read_bytes() for path in paths}) > 5
    (told,) = [view for view in connected.jobs(ended=10).jobs if view.job == job.id]
    assert (told.frames, told.flow_fps_numerator, told.flow_fps_denominator) == (3, 30_000, 1001)


def test_footage_is_sent_once_and_conform_makes_another_rate(connected: Backend, tmp_path: Path) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    for number in range(3):
        picture(shots / f"{number}.png", number)
    large = picture(tmp_path / "large.png", side=1024)
    assert large.stat().st_size > 5 * CHUNK_BYTES
    job = connected.submit("a fox", footage=shots, anchor=large, seed=1)
    assert job.wait().frames == 3
    assert connected.submit("a fox", footage=[shots / "2.png", shots / "0.png"], frames=1).wait().frames == 1
    rate = Fraction(30000, 1001)
    conformed = connected.conform(job, rate, "flow")
    done = conformed.wait()
    assert Fraction(done.fps_numerator, done.fps_denominator) == rate
    assert len(conformed.fetch(tmp_path / "out")) == done.frames == 11  # 3 / 8 seconds


def test_footage_that_is_no_picture_is_named(connected: Backend, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"GIF89a")
    (tmp_path / "empty").mkdir()
    for footage in (tmp_path / "no.png", tmp_path / "absent.png", tmp_path / "empty", [tmp_path / "empty", "x.png"]):
        with pytest.raises(BackendError) as caught:
            connected.submit("a fox", footage=footage)
        assert (caught.value.code, caught.value.exit_code) == ("no_picture", 1)
    assert not connected.jobs(9).jobs


def test_files_of_a_folder_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in footage_files(tmp_path)] == ["a.PNG", "b.png"]
    assert footage_files(["z.png", tmp_path / "a.PNG"]) == [Path("z.png"), tmp_path / "a.PNG"]
    assert footage_files("z.png") == [Path("z.png")]
    assert footage_files(()) == []


def test_an_upload_goes_on_where_the_backend_has_got_to() -> None:
    """The backend may have a part, and may take less than was sent; one that takes nothing ends it."""
    data = bytes(range(256)) * (12 * CHUNK_BYTES // 256) + b"end"
    have = bytearray(data[: 3 * CHUNK_BYTES])
    most = 0

    def backend(pieces: list[tuple[Offer | Chunk, list[bytes]]]) -> int:
        nonlocal most
        most = max(most, len(pieces))
        for piece, buffers in pieces:
            if not isinstance(piece, Chunk) or piece.offset != len(have) or len(have) >= limit:
                continue
            if piece.offset in overlooked:
                overlooked.remove(piece.offset)
                continue
            have.extend(buffers[0])
        return len(have)

    limit = len(data)
    overlooked = [5 * CHUNK_BYTES]
    send_file(data, backend)  # type: ignore[arg-type]
    assert have == data
    assert most == WINDOW
    del have[:]
    limit = 5 * CHUNK_BYTES
    with pytest.raises(BackendError) as caught:
        send_file(data, backend)  # type: ignore[arg-type]
    assert caught.value.code == "no_upload"


def test_without_a_backend_or_with_a_lost_one_there_is_one_sentence(home: Path) -> None:
    with pytest.raises(BackendError) as caught:
        connect()
    assert (caught.value.code, caught.value.exit_code) == ("no_backend", 3)
    with running(step_seconds=0.3) as backend, connect() as connected:
        job = connected.submit("a fox", **SMALL)
        backend.process.kill()
        for _ in range(2):
            with pytest.raises(BackendError) as caught:
                job.wait()
            assert (caught.value.code, caught.value.exit_code) == ("not_reached", 3)
    with running(), connect() as connected:
        assert connected.job(job.id).wait().frames == 4, "the job has waited in its queue"


def test_a_backend_that_ends_just_now_is_followed_by_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It still holds its lock while it lets nobody in any more."""
    monkeypatch.setattr("shared_protocol.starting.AGAIN_SECONDS", 0.0)
    with running("--grace", "0.1") as backend, connect() as connected:
        pid = backend.process.pid
        job = connected.submit("a fox", **SMALL).id
        backend.process.send_signal(signal.SIGSTOP)
        places.connection_file().unlink()
        threading.Timer(1.0, backend.process.send_signal, [signal.SIGCONT]).start()
        threading.Timer(1.0, backend.process.terminate).start()
        with connect(start=True, fake=True, grace=0.1) as other:
            assert connection.read(places.connection_file()).pid != pid
            assert other.job(job).wait().frames == 4
    assert until(lambda: not places.connection_file().exists())


def test_a_profile_names_a_backend_elsewhere(backend: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = tmp_path / "studio.json"
    connection.write(profile, msgspec.structs.replace(backend.connection, pid=0, started=None))
    monkeypatch.setenv("ELEVATOR_HOME", str(tmp_path / "elsewhere"))
    with connect(profile=profile) as connected:
        assert connected.submit("a fox", **SMALL).wait().frames == 4
    with pytest.raises(BackendError) as caught:
        connect(profile=tmp_path / "absent.json", start=True, fake=True)
    assert (caught.value.code, caught.value.exit_code) == ("no_profile", 1)
    assert "absent.json" in caught.value.sentence
    named = profiles.profile_file("studio")
    named.parent.mkdir(parents=True)
    profile.rename(named)
    with connect(profile="studio") as connected:
        assert connected.status()
    with pytest.raises(BackendError, match="absent"):
        connect(profile="absent")


def test_the_example_of_the_docstring_runs_and_its_backend_ends(home: Path, tmp_path: Path) -> None:
    documented = api.__doc__ or ""
    code = textwrap.dedent(documented[documented.index("    from pathlib") : documented.index("A job goes on")])
    code = code.replace("start=True", "start=True, fake=True, grace=0.2")
    assert "fake=True" in code
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ELEVATOR_FAKE_STEP_SECONDS": "0.002"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert "Done(" in done.stdout
    assert len(names(tmp_path / "fox")) == 16
    assert until(lambda: not (home / "state" / "connection.json").exists())
