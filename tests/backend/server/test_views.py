"""Jobs as clients see them: what one message takes."""

from __future__ import annotations

import msgspec

from backend.server.hold import SPARE_BYTES, room_for
from backend.server.jobs import Job, Owner
from backend.server.pace import kind
from backend.server.views import SHOWN_CHARACTERS, pages, shortened, view
from shared_protocol import wire
from shared_protocol.messages import Jobs, QueueState
from tests.backend.orders import order

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
