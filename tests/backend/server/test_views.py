"""Jobs as clients see them: what one message takes."""

from __future__ import annotations

from backend.server.jobs import Job, Owner
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


def test_a_long_prompt_is_shown_by_its_beginning() -> None:
    longest = "x" * SHOWN_CHARACTERS
    assert shortened(longest) == longest
    assert shortened(f"{longest}y") == f"{longest[:-1]}…"
