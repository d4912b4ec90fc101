"""Jobs as clients see them: what one message takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from backend.failures import Failure
from backend.server import views as views_module
from backend.server.forecast import Forecast
from backend.server.hold import SPARE_BYTES, room_for
from backend.server.jobs import Job, Owner, State
from backend.server.pace import kind, units
from backend.server.requests import resolve_conform
from backend.server.views import SHOWN_CHARACTERS, pages, shortened, view
from elevator.calls import calls_of
from shared_protocol import wire
from shared_protocol.messages import Conform, Jobs, Progress, QueueState
from tests.backend.orders import done, order

ME = Owner("local", "1" * 32)


def test_every_page_is_a_message_that_may_be_sent() -> None:
    job = Job("a" * 32, ME, order(), prompt="é" * SHOWN_CHARACTERS)
    views = [view(job, ME, None, None)] * 2000
    made = list(pages(views))
    assert len(made) > 1
    assert [one for page in made for one in page] == views
    for page in made:
        header = wire.encode(Jobs(queue=QueueState(stopped="x" * 2000), jobs=page))[1]
        assert len(header) < wire.MAX_HEADER_BYTES * 0.9


def test_a_page_holds_as_many_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    views = [view(Job("a" * 32, ME, order()), ME, None, None)] * 5
    size = len(msgspec.json.encode(views[0]))
    assert [len(page) for page in pages(views, 2)] == [2, 2, 1]
    for most, counts in ((2 * size, [2, 2, 1]), (2 * size - 1, [1] * 5), (1, [1] * 5)):
        monkeypatch.setattr(views_module, "PAGE_BYTES", most)
        assert [len(page) for page in pages(views)] == counts
    assert list(pages([])) == []


def test_a_job_is_told_as_it_stands() -> None:
    job = Job("a" * 32, ME, order(), "a cat", submitted=5.5)
    waits = view(job, Owner("local", "2" * 32), Forecast(3, 12.5, 2), None)
    assert (waits.state, waits.mine, waits.kind, waits.prompt) == ("queued", False, "clip", "a cat")
    assert (waits.position, waits.seconds_left, waits.submitted) == (2, 12.5, 5.5)
    assert (waits.phase, waits.step, waits.steps) == ("waiting", 0, 0)
    assert (waits.has_result, waits.bytes, waits.received, waits.folder, waits.message) == (False, 0, False, "", "")
    progress = Progress(job=job.id, phase="painting", step=3, steps=9)
    runs = view(replace(job, state=State.RUNNING), ME, Forecast(0, 4.0), progress)
    assert (runs.state, runs.mine, runs.position, runs.seconds_left) == ("running", True, 0, 4.0)
    assert (runs.phase, runs.step, runs.steps) == ("painting", 3, 9)


def test_a_job_that_has_ended_is_told_with_its_result_while_that_is_there() -> None:
    end = msgspec.structs.replace(done("a" * 32), folder="/results/a")
    job = Job("a" * 32, ME, order(), state=State.DONE, end=end, received=True, bytes=10)
    there, gone = (view(each, ME, None, None) for each in (job, replace(job, bytes=0)))
    assert (there.position, there.seconds_left) == (0, None)
    assert (there.has_result, there.bytes, there.received, there.folder) == (True, 10, True, "/results/a")
    assert (gone.has_result, gone.bytes, gone.received, gone.folder) == (False, 0, True, "")
    failed = Failure("duplicate_job").as_event("a" * 32)
    told = view(replace(job, state=State.FAILED, end=failed, bytes=0), ME, None, None)
    assert (told.state, told.message, told.folder) == ("failed", failed.message, "")


def test_a_conformed_clip_has_no_style() -> None:
    conformed = resolve_conform(Conform(job="a" * 32, source="b" * 32, fps_numerator=16), done("b" * 32), Path("b"))
    told = view(Job("a" * 32, ME, conformed), ME, None, None)
    assert (told.kind, told.style, told.frames) == ("conform", "", 2)
    styled = view(Job("a" * 32, ME, msgspec.structs.replace(order(), style="ink")), ME, None, None)
    assert (styled.kind, styled.style) == ("clip", "ink")
    assert (kind(conformed), units(conformed)) == ("conform hold", 2 * 8 * 8 / 1e6)


def test_work_is_counted_in_pixels_and_network_calls() -> None:
    calls = calls_of(order().plan).total
    assert calls > 1
    assert units(msgspec.structs.replace(order(), frames=3, width=16)) == pytest.approx(3 * 16 * 8 / 1e6 * calls)
    assert kind(order()) == kind(msgspec.structs.replace(order(), seed=5, frames=9))


def test_a_clip_is_told_as_it_was_asked_for() -> None:
    smooth = msgspec.structs.replace(order(), frames=4, flow_fps=(24000, 1001))
    told = view(Job("a" * 32, ME, smooth), ME, None, None)
    assert (told.frames, told.flow_fps_numerator, told.flow_fps_denominator) == (4, 24000, 1001)
    plain = view(Job("a" * 32, ME, order()), ME, None, None)
    assert (plain.frames, plain.flow_fps_numerator, plain.flow_fps_denominator) == (1, 0, 1)


def test_room_is_kept_for_the_result() -> None:
    smooth = msgspec.structs.replace(order(), frames=4, flow_fps=(24, 1))
    assert room_for(Job("a" * 32, ME, smooth)) == 12 * 8 * 8 * 3 + SPARE_BYTES


def test_a_pace_is_that_of_the_whole_work() -> None:
    smooth = msgspec.structs.replace(order(), flow_fps=(24, 1))
    assert kind(smooth) != kind(order())


def test_a_long_prompt_is_shown_by_its_beginning() -> None:
    longest = "x" * SHOWN_CHARACTERS
    assert shortened(longest) == longest
    assert shortened(f"{longest}y") == f"{longest[:-1]}…"
