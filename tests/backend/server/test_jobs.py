"""Jobs in real processes: what comes, in which order, and that each ends once."""

from __future__ import annotations

import time
from typing import Any

import cv2
import msgspec
import numpy as np
import psutil
import pytest

from backend.worker.fake import STEPS
from shared_protocol.client import new_job_id
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Denied,
    Done,
    Failed,
    Fetch,
    Fetched,
    Frame,
    Jobs,
    Message,
    Notice,
    Progress,
    Received,
)
from shared_protocol.wire import Buffer
from tests.backend.harness import ENDS, Conversation, Running, greet, pid_of, running, until


def picture(png: Buffer) -> np.ndarray:
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    return decoded


def kinds(conversation: Conversation, job: str) -> list[type[Message]]:
    return [type(message) for message, _ in conversation.of(job)]


def ends(conversation: Conversation, job: str) -> list[Message]:
    return [message for message, _ in conversation.of(job) if isinstance(message, ENDS)]


def test_a_job_from_start_to_end(shared: Running) -> None:
    with shared.client() as client:
        greet(client)
        job = client.submit(frames=5, width=96, height=64)
        done = client.end_of(job)
        assert isinstance(done, Done)
        assert (done.frames, done.width, done.height, done.fps_numerator, done.seed) == (5, 96, 64, 8, 1)
        assert done.seconds > 0
        client.until_settled()
        assert kinds(client, job)[0] is Accepted
        assert len(ends(client, job)) == 1
        assert kinds(client, job)[-1] is Done


def test_frames_arrive_complete_and_in_order(shared: Running) -> None:
    with shared.client() as client:
        job = client.submit(frames=16, width=96, height=64)
        client.end_of(job)
        frames = [(message, buffers) for message, buffers in client.of(job) if isinstance(message, Frame)]
        assert [message.index for message, _ in frames] == list(range(16))
        for message, (png,) in frames:
            assert message.frames == 16
            assert picture(png).shape == (64, 96, 3)
            assert picture(png).dtype == np.uint8
        assert len({bytes(png) for _, (png,) in frames}) == 16, "it moves"


def test_the_same_seed_gives_the_same_clip_and_another_another(shared: Running) -> None:
    def clip(client: Conversation, **fields: Any) -> list[bytes]:
        job = client.submit(frames=2, **fields)
        client.end_of(job)
        return [bytes(buffers[0]) for message, buffers in client.of(job) if isinstance(message, Frame)]

    with shared.client() as client:
        assert clip(client, seed=7) == clip(client, seed=7) != clip(client, seed=8)
        assert clip(client, prompt="a cat") != clip(client, prompt="a dog")


def test_progress_never_goes_back_and_ends_with_an_estimate() -> None:
    with running(step_seconds=0.06) as backend, backend.client() as client:
        job = client.submit(frames=4)
        client.end_of(job)
        progress = [message for message, _ in client.of(job) if isinstance(message, Progress)]
        assert progress[0].phase == "loading"
        sampling = [message for message in progress if message.phase not in ("loading", "writing")]
        steps = [message.step for message in sampling]
        assert steps == sorted(set(steps))
        assert {message.steps for message in sampling} == {STEPS + 4}
        assert {"text", "painting", "refining", "inverting", "decoding"} == {message.phase for message in sampling}
        assert progress[-1].phase == "writing"
        late = [message.seconds_left for message in sampling if message.phase == "painting"][-1]
        assert late is not None
        assert 0 < late < 60
        assert not any(message.preview_frames for message in progress), "nobody asked for previews"


def test_previews_come_when_asked_and_show_the_whole_clip() -> None:
    with running(step_seconds=0.06) as backend, backend.client() as client:
        job = client.submit(frames=6, width=128, height=64, previews=True)
        done = client.end_of(job)
        assert isinstance(done, Done)
        shown = [
            (message, buffers)
            for message, buffers in client.of(job)
            if isinstance(message, Progress) and message.preview_frames
        ]
        assert shown
        assert len(shown) <= 2 * done.seconds + 1
        for message, (png,) in shown:
            assert message.preview_frames == 6
            height, width = picture(png).shape[:2]
            assert width == 6 * 2 * height


def test_jobs_run_in_the_order_of_their_arrival(shared: Running) -> None:
    with shared.client() as client:
        jobs = [client.submit(seed=seed) for seed in range(4)]
        client.end_of(jobs[-1])
        finished = [message.job for message, _ in client.heard if isinstance(message, Done)]
        assert finished == jobs
        accepted = [message for message, _ in client.heard if isinstance(message, Accepted)]
        assert [message.job for message in accepted] == jobs
        assert accepted[0].position == 0
        assert accepted[3].position >= accepted[1].position


def test_the_worker_and_its_models_stay_for_the_next_job(backend: Running) -> None:
    with backend.client() as client:
        client.end_of(client.submit())
        before = client.until_settled()
        client.end_of(client.submit(style="sketch"))
        after = client.until_settled()
        assert pid_of(before) == pid_of(after) != 0
        assert before.loads == after.loads == 1


def test_two_clients_get_only_their_own_jobs(backend: Running) -> None:
    with backend.client() as one, backend.client() as two:
        first, second = one.submit(), two.submit()
        two.end_of(second)
        one.end_of(first)
        assert two.status().clients == 2
        assert not one.of(second)
        assert not two.of(first)


def test_cancel_takes_effect_within_one_step() -> None:
    with running(step_seconds=0.1) as backend, backend.client() as client:
        job = client.submit(frames=16)
        at = client.expect(Progress, lambda message: message.phase == "painting").step
        client.client.send(Cancel(job=job))
        assert client.end_of(job) == Cancelled(job=job)
        status = client.until_settled()
        assert len(ends(client, job)) == 1
        later = [message.step for message, _ in client.of(job) if isinstance(message, Progress) and message.step > at]
        assert len(later) <= 1
        assert pid_of(status), "the worker is kept"
        assert isinstance(client.end_of(client.submit()), Done)


def test_a_queued_job_can_be_cancelled_and_the_running_one_goes_on() -> None:
    with running(step_seconds=0.05) as backend, backend.client() as client:
        first, second, third = client.submit(), client.submit(), client.submit()
        client.client.send(Cancel(job=second))
        assert client.end_of(second) == Cancelled(job=second)
        assert isinstance(client.end_of(first), Done)
        assert isinstance(client.end_of(third), Done)
        client.until_settled()
        assert kinds(client, second) == [Accepted, Cancelled]


def test_a_job_can_be_cancelled_before_the_worker_is_ready(backend: Running) -> None:
    with backend.client() as client:
        job = client.submit()
        client.client.send(Cancel(job=job))
        assert client.end_of(job) == Cancelled(job=job)
        assert isinstance(client.end_of(client.submit()), Done)


def test_another_terminal_of_the_same_user_cancels_by_the_jobs_name_and_no_other() -> None:
    with running(step_seconds=0.05) as backend, backend.client() as owner, backend.client() as other:
        first, second = owner.submit(), owner.submit()
        owner.expect(Accepted, lambda accepted: accepted.job == second)
        other.client.send(Cancel(job=new_job_id()))
        assert other.expect(Denied).code == "unknown_job"
        other.client.send(Cancel(job=second))
        assert owner.end_of(second) == Cancelled(job=second)
        assert isinstance(owner.end_of(first), Done)
        assert not other.of(first)
        assert other.end_of(second) == Cancelled(job=second)
        assert kinds(other, second) == [Cancelled], "the answer, and nothing else: it has not asked to watch"


def test_cancelling_what_is_over_is_answered_with_its_end(shared: Running) -> None:
    with shared.client() as client:
        job = client.submit()
        end = client.end_of(job)
        client.client.send(Cancel(request_id="late", job=job))
        client.client.send(Cancel(request_id="never", job=new_job_id()))
        assert client.expect(Denied).request_id == "never"
        client.until_settled()
        assert ends(client, job) == [end, msgspec.structs.replace(end, request_id="late")]


def test_a_name_is_used_once(shared: Running) -> None:
    with shared.client() as client:
        job = client.submit()
        client.end_of(job)
        client.submit(job=job)
        again = client.expect(Failed)
        assert again.code == "duplicate_job"


def test_the_jobs_of_a_client_that_leaves_go_on(backend: Running) -> None:
    """What it has missed it is told when it comes back under its id; no other client is told."""
    with backend.client(client_id="5" * 32) as leaver:
        assert greet(leaver).client_id == "5" * 32
        job = leaver.submit(frames=6)
        leaver.expect(Progress, lambda message: message.phase == "painting")
    with backend.client() as stranger:
        stranger.until_settled()
        assert not stranger.of(job)
    for _ in range(2):  # until it says that it has everything
        with backend.client(client_id="5" * 32) as back:
            (shown,) = back.expect(Jobs).jobs
            assert (shown.job, shown.state, shown.mine, shown.has_result) == (job, "done", True, True)
            done = back.end_of(job)
            assert isinstance(done, Done)
            back.client.send(Fetch(job=job, count=4))
            back.client.send(Fetch(job=job, first=4, count=64))
            assert back.expect(Fetched, lambda fetched: fetched.first == 4).count == 2
            frames = [(message.index, buffers) for message, buffers in back.of(job) if isinstance(message, Frame)]
            assert [index for index, _ in frames] == list(range(6))
            assert all(picture(png).shape == (64, 64, 3) for _, (png,) in frames)
    with backend.client(client_id="5" * 32) as back:
        back.client.send(Received(job=job))
        back.status()
    with backend.client(client_id="5" * 32) as back:
        back.status()
        assert not back.of(job)


@pytest.mark.parametrize("code", ["out_of_memory", "model_unfit", "internal"])
def test_a_job_that_fails_says_why_and_the_next_one_works(shared: Running, code: str) -> None:
    with shared.client() as client:
        failed = client.end_of(client.submit(f"a pumpkin fail:{code}"))
        assert isinstance(failed, Failed)
        assert failed.code == code
        assert failed.message.endswith(".")
        assert failed.next_step.endswith(".")
        assert isinstance(client.end_of(client.submit()), Done)


def test_a_job_whose_worker_dies_is_made_by_another() -> None:
    with running(step_seconds=0.1) as backend, backend.client() as client:
        job = client.submit(frames=4)
        waiting = client.submit(frames=1)
        client.expect(Progress, lambda message: message.phase == "painting")
        before = pid_of(client.status())
        psutil.Process(before).kill()
        assert client.expect(Notice, lambda notice: notice.job == job).again
        assert isinstance(client.end_of(job), Done)
        assert isinstance(client.end_of(waiting), Done)
        after = client.until_settled()
        assert pid_of(after) not in (0, before)
        assert after.loads == 2
        assert len(ends(client, job)) == 1


def test_a_job_that_ends_every_worker_fails_after_two(backend: Running) -> None:
    with backend.client() as client:
        doomed = client.submit("fail:crash", frames=16)
        waiting = client.submit(frames=1)
        failed = client.end_of(doomed)
        assert isinstance(failed, Failed)
        assert failed.code == "worker_died"
        assert isinstance(client.end_of(waiting), Done)
        assert client.until_settled().loads == 3
        assert len(ends(client, doomed)) == 1


def test_an_idle_worker_that_dies_harms_nobody(backend: Running) -> None:
    with backend.client() as client:
        client.end_of(client.submit())
        psutil.Process(pid_of(client.until_settled())).kill()
        assert until(lambda: pid_of(client.status()) == 0)
        assert isinstance(client.end_of(client.submit()), Done)


def test_an_idle_server_sleeps_until_it_is_asked(shared: Running) -> None:
    def used() -> float:
        times = psutil.Process(shared.process.pid).cpu_times()
        return float(times.user + times.system)

    with shared.client() as client:
        client.until_settled()
        before = used()
        time.sleep(2)
        assert used() - before < 1, "it looks a few times a second"
