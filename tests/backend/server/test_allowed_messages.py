"""Whatever is asked for or lies on the disk: what the backend says of it is a message that the protocol allows."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from string import Formatter
from typing import Any, cast, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backend.failures import WIRE, Denial, Failure, Wording
from backend.orders import Task, to_worker
from backend.server import requests
from backend.server.hold import ADVICE, Hold
from backend.server.jobs import Job, Owner, State
from backend.server.requests import MOST_CALLS, MOST_PIXELS, ORDER_BYTES, resolve, resolve_conform
from backend.server.result_record import job_of, record
from backend.server.results import ResultStore
from backend.server.slot import Slot
from backend.server.store import JobStore
from backend.server.views import view
from backend.styles.catalogue import Catalogue, read_catalogue
from backend.worker.maker import Advance
from backend.worker.progress import Reporter
from shared_protocol import texts, wire
from shared_protocol.messages import (
    MOST_NOTES,
    Accepted,
    AskJobs,
    Conform,
    DenialCode,
    Done,
    FailureCode,
    Generate,
    Jobs,
    Message,
    Notice,
    Pause,
    Phase,
    QueueState,
    Status,
    WorkerView,
)
from tests.backend.harness import Running, greet
from tests.backend.orders import order
from tests.protocol.strategies import with_buffers

ME = Owner("local", "1" * 32)
JOB, NEXT = "0" * 32, "1" * 32
ANYTHING = st.text(max_size=30) | st.text(min_size=1, max_size=5).map(lambda text: text * 700)
"""Half of surrogate pairs, control characters, long ones."""


def told(message: Message) -> Message:
    """The message as a client reads it. Raises what the other side would."""
    return wire.decode_event(wire.encode(message, with_buffers(message))).message


@dataclass(frozen=True)
class Ours:
    """The styles that come with the product; said shortly when a test fails."""

    all: Catalogue = field(repr=False)

    def __repr__(self) -> str:
        return "Ours"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Ours:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELEVATOR_HOME", str(tmp_path_factory.mktemp("home")))
        return Ours(read_catalogue())


@pytest.fixture
def catalogue(ours: Ours) -> Catalogue:
    return ours.all


def made(job: Job) -> Done:
    """How the worker ends such a job."""
    its = job.order
    return Done(
        job=job.id,
        frames=its.result_frames,
        width=its.width,
        height=its.height,
        fps_numerator=its.result_fps.numerator,
        fps_denominator=its.result_fps.denominator,
        seed=its.seed,
        seconds=1.0,
        folder=f"/results/{job.id}",
    )


def everything_of(job: Job) -> Done:
    """Tell all that there is to tell of a job, from its place to its end."""
    told(Accepted(job=job.id, position=0, warnings=()))
    task = Task(job=job.id, order=job.order, folder="/results/partial")
    assert wire.decode(wire.encode(task), to_worker).message == task
    end = told(made(job))
    assert isinstance(end, Done)
    shown = view(replace(job, state=State.DONE, end=end, bytes=1), ME, None, None)
    assert told(Jobs(queue=QueueState(), jobs=(shown, view(job, ME, None, None))))
    again = job_of(record(job, end), 1)
    assert again is not None
    assert view(again, ME, None, None).frames == job.order.frames
    return end


RATES = st.builds(Fraction, st.integers(1, 1_000_000), st.integers(1, 1_000_000))
UNICODE = st.characters(exclude_categories=["Cs"])
CLIPS = st.fixed_dictionaries(
    {
        "prompt": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).map(
            lambda text: text * 49
        ),
        "style": st.sampled_from(["plain", "sketch", "none", "é" * 64]),
        "preset": st.sampled_from(["", "fast", "no\nsuch", "p" * 64]),
        "frames": st.sampled_from([1, 2, 31, 32, 33, 1024]),
        "width": st.sampled_from([8, 32, 64, 72, 128, 8192]),
        "height": st.sampled_from([8, 32, 64, 8192]),
        "seed": st.sampled_from([0, 2**31 - 1]),
        "settings": st.dictionaries(
            st.sampled_from(
                ["steps", "refine", "refine_steps", "alpha", "eta", "chunk", "window", "overlap", "k" * 64]
            ),
            st.sampled_from([-(2**31), 0, 1, 3, 4, 1000, 2**31 - 1, 1.5, 1e308, [45], [1000, 999], "w" * 200, None]),
            max_size=3,
        ),
        "rate": st.none() | RATES,
    }
)


@given(fields=CLIPS, rates=st.lists(RATES, max_size=3), fake=st.booleans())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_ordered_can_be_told_of(
    ours: Ours, fields: dict[str, Any], rates: list[Fraction], fake: bool
) -> None:
    """A clip, and then that clip at other rates."""
    rate = fields.pop("rate")
    smooth = {} if rate is None else {"flow_fps_numerator": rate.numerator, "flow_fps_denominator": rate.denominator}
    request = Generate(job=JOB, **fields, **smooth)
    assert wire.decode_request(wire.encode(request)).message == request
    try:
        first, warnings = resolve(request, ours.all, fake=fake)
        told(Accepted(job=JOB, position=0, warnings=warnings))
        end = everything_of(Job(JOB, ME, first, request.prompt))
        for rate in rates:
            conform = Conform(job=NEXT, source=JOB, fps_numerator=rate.numerator, fps_denominator=rate.denominator)
            end = everything_of(Job(NEXT, ME, resolve_conform(conform, end, Path("/results"))))
    except Failure as error:
        told(error.as_event(JOB))


WORDINGS = sorted(WIRE.items())


@given(row=st.sampled_from(WORDINGS), detail=ANYTHING)
@example(row=WORDINGS[0], detail="\ud800")
@settings(deadline=None, max_examples=200)
def test_whatever_failed_can_be_said(row: tuple[str, Wording], detail: str) -> None:
    code, wording = row
    words = [word for _, word, _, _ in Formatter().parse(wording.sentence + wording.next_step) if word]
    details: Any = dict.fromkeys(words, detail)
    if code in get_args(DenialCode):
        told(Denial(cast("DenialCode", code), **details).as_answer(Pause(), ""))
    if code in get_args(FailureCode):
        told(Failure(cast("FailureCode", code), **details).as_event(JOB))
    told(Notice(job=JOB, message=texts.sentence(detail)))
    told(Status(loads=0, clients=0, notes=texts.sentences([detail] * 500), data_folder=texts.path_text(detail)))
    told(Status(loads=0, clients=0, workers=(WorkerView(device=texts.short_name(detail)),)))


def test_of_too_many_notes_the_last_counts_the_others() -> None:
    few = texts.sentences(f"{number}." for number in range(MOST_NOTES))
    assert few == tuple(f"{number}." for number in range(MOST_NOTES))
    many = texts.sentences(f"{number}." for number in range(MOST_NOTES + 1))
    assert many == (*few[:-1], "There are 2 more such notes.")


def test_a_queue_that_has_stopped_says_why_and_what_then(tmp_path: Path) -> None:
    hold = Hold(JobStore(None), ResultStore(tmp_path / "results"), lambda: 0.0)
    assert hold.stop("x" * 3000)
    told(Jobs(queue=QueueState(stopped=hold.stopped), jobs=()))
    assert hold.stopped.endswith(f"… {ADVICE}")


@given(
    items=st.lists(
        st.tuples(st.sampled_from(get_args(Phase)), st.integers(0, 50), st.integers(0, 50), st.floats(0, 1e6)),
        max_size=30,
    )
)
def test_a_count_that_goes_astray_is_no_time_below_zero(items: list[tuple[Phase, int, int, float]]) -> None:
    reporter, now = Reporter(JOB, previews=False), 0.0
    for phase, step, steps, later in items:
        now += later
        report = reporter.report(Advance(phase, step, steps), now)
        if report is not None:
            told(report[0])


@pytest.mark.parametrize("pid", [0, 4_194_304, 10_000_001, 2**32 - 1])
def test_a_process_of_any_system_can_be_told_of(pid: int) -> None:
    told(Status(loads=0, clients=0, workers=(WorkerView(device="cpu", pid=pid),)))


def test_a_device_with_a_long_name_can_be_told_of() -> None:
    def never(device: str) -> Any:
        raise AssertionError

    slot = Slot("cuda:0" * 50, never, lambda: 0.0, 1.0)
    told(Status(loads=0, clients=0, workers=(slot.view,)))
    assert slot.view.state == "off"


def clip(**fields: Any) -> Generate:
    small = {"prompt": "a cat", "style": "plain", "frames": 2, "width": 64, "height": 64, "seed": 1}
    return Generate(job=JOB, **{**small, **fields})


def test_a_clip_of_more_calls_than_can_be_counted_is_refused(catalogue: Catalogue) -> None:
    heavy = {"steps": 1000, "refine": [*range(1000, 900, -1)], "refine_steps": 1}
    resolve(clip(frames=1, settings=heavy), catalogue, fake=True)
    with pytest.raises(Failure, match="too much for so many frames"):
        resolve(clip(frames=32, settings={**heavy, "refine": [*range(1000, 800, -1)]}), catalogue, fake=True)
    assert MOST_CALLS * 2 <= 10_000_000, "steps are a count"


def test_a_frame_that_no_message_can_carry_is_refused(home: Path) -> None:
    assert MOST_PIXELS * 3 * 1.01 < wire.MAX_BUFFER_BYTES
    folder = home / "config"
    (folder / "styles").mkdir(parents=True)
    (folder / "bases").mkdir()
    (folder / "styles" / "huge.toml").write_text(
        'title = "T"\nbase = "huge"\npreset = "p"\nexample_prompt = "a cat"\n', encoding="utf-8"
    )
    (folder / "bases" / "huge.toml").write_text(
        'title = "B"\nt2i = "a"\nt2v = "b"\nmax_size = 8192\n[presets.p]\n', encoding="utf-8"
    )
    wide = read_catalogue()
    resolve(clip(style="huge", width=8192, height=2432), wide, fake=True)
    with pytest.raises(Failure, match="8192 × 2496 pixels"):
        resolve(clip(style="huge", width=8192, height=2496), wide, fake=True)


def test_an_order_that_its_worker_cannot_be_told_of_is_refused(catalogue: Catalogue) -> None:
    """Its pictures' paths go into one message."""
    footage = tuple(f"{number:064x}" for number in range(32))
    request = clip(frames=32, footage=footage, strength=0.5)
    resolve(request, catalogue, fake=True, upload=lambda sha256: Path("/p") / sha256)
    with pytest.raises(Failure, match="too many for one clip"):
        resolve(request, catalogue, fake=True, upload=lambda sha256: Path("/p" * (ORDER_BYTES // 64)) / sha256)


@pytest.mark.parametrize("words", [1, 9])
def test_a_warning_repeats_no_more_of_long_words_than_a_sentence_takes(catalogue: Catalogue, words: int) -> None:
    prompt = " ".join(f"unknown:{chr(97 + number) * (1900 // words)}" for number in range(words))
    (warning,) = resolve(clip(prompt=prompt), catalogue, fake=True)[1]
    assert warning.startswith("The models do not know “aaaa")
    assert warning.endswith("may not show it.")
    assert ("and more" in warning) == (words > 8)


def test_of_too_many_warnings_the_last_counts_the_others(catalogue: Catalogue) -> None:
    prompt = " ".join(f"(cat:{number}.5)" for number in range(3, 60))
    warnings = resolve(clip(prompt=prompt), catalogue, fake=True)[1]
    told(Accepted(job=JOB, position=0, warnings=warnings))
    assert len(warnings) == MOST_NOTES
    assert warnings[-1] == f"There are {57 - MOST_NOTES + 1} more such notes."


def test_words_that_cannot_be_read_make_no_warning(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "misfits", lambda sources: ())  # the folder is no model
    (tmp_path / "known_words.txt").write_bytes(b"caf\xe9\n")
    recipe = catalogue.recipes["plain"]
    unread = msgspec.structs.replace(recipe.sources, t2i=str(tmp_path), t2v=str(tmp_path))
    broken = Catalogue({"plain": replace(recipe, sources=unread)}, ())
    assert resolve(clip(), broken, fake=False)[1] == ()


@pytest.mark.parametrize(
    "change",
    [
        {"work": {"frames": 1025}},
        {"work": {"width": 7}},
        {"work": {"seed": -1}},
        {"work": {"style": "s" * 65}},
        {"work": {"flow_fps": [1, 0]}},
        {"done": {"frames": 20_000}},
        {"done": {"folder": "f" * 5000}},
    ],
)
def test_a_result_on_the_disk_of_which_no_message_can_tell_is_none(change: dict[str, dict[str, Any]]) -> None:
    """Whoever may write there may write anything."""
    job = Job(JOB, ME, order())
    fields = msgspec.json.decode(record(job, made(job)))
    assert job_of(msgspec.json.encode(fields), 1) is not None
    for part, values in change.items():
        fields[part] |= values
    assert job_of(msgspec.json.encode(fields), 1) is None


def test_a_mark_that_was_never_given_marks_some_place_or_other(shared: Running) -> None:
    """Places are numbers, and of these some are none."""
    with shared.client() as client:
        greet(client)
        jobs = [client.submit("slow:0.05") for _ in range(4)]
        for place in (math.nan, math.inf, -math.inf, 0.0, 2.5, 1e300):
            for end_number in (0, 1, 2**32 - 1):
                for listed in (0, 499, 65_535):
                    after = struct.pack(">dIHxx", place, end_number, listed).hex()
                    client.client.send(AskJobs(request_id=after, ended=500, count=1, after=after))
                    assert client.expect(Jobs).request_id == after
        for job in jobs:
            assert isinstance(client.end_of(job), Done)
