"""Jobs in pages, and what a client that comes back is told part by part."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.failures import StorageFailure
from backend.server.jobs import Job, Owner, State
from backend.server.listing import PART
from backend.server.store import JobStore
from backend.server.store_errors import StoreRefuses
from shared_protocol.client import new_job_id
from shared_protocol.messages import AskJobs, Cancelled, Done, Hello, Jobs, JobView, Message
from tests.backend.orders import done, order
from tests.backend.server.test_desk import ME, Office

SIBLING, STRANGER = Owner("local", "2" * 32), Owner("studio", "3" * 32)


@pytest.fixture
def office(tmp_path: Path, home: Path) -> Office:
    """A desk with one running job, and one that is done."""
    return Office(tmp_path)


def submit(office: Office, count: int, owner: Owner = ME) -> list[str]:
    names = [new_job_id() for _ in range(count)]
    for name in names:
        office.store.add(Job(name, owner, order()))
    return names


def end(office: Office, count: int, owner: Owner = ME) -> list[str]:
    names = submit(office, count, owner)
    for number, name in enumerate(names):
        office.store.move(name, State.LOADING)
        office.store.finish(done(name) if number % 2 else Cancelled(job=name), size=number % 2)
    return names


def page(office: Office, **fields: object) -> Jobs:
    (told,) = office.ask(AskJobs(**fields))  # type: ignore[arg-type]
    assert isinstance(told, Jobs)
    return told


def all_pages(office: Office, **fields: object) -> list[Jobs]:
    pages = [page(office, **fields)]
    while pages[-1].next:
        pages.append(page(office, after=pages[-1].next, **fields))
    return pages


@pytest.mark.parametrize(
    ("waiting", "ended", "asked", "count"), [(25, 12, 12, 10), (10, 12, 5, 10), (0, 12, 12, 5), (7, 0, 9, 3)]
)
def test_pages_are_the_list(office: Office, waiting: int, ended: int, asked: int, count: int) -> None:
    running = [job.id for job in office.store.backlog.active]
    past = [*end(office, ended)]
    queue = submit(office, waiting)
    submit(office, 3, STRANGER)
    pages = all_pages(office, ended=asked, count=count)
    everything = [*running, *queue, *past[::-1][:asked]]
    if asked > ended:
        everything += ["b" * 32]  # was there before
    assert [view.job for one in pages for view in one.jobs] == everything
    told = 0
    for index, one in enumerate(pages):
        told += len(one.jobs)
        assert one.left_out == len(everything) - told
        assert bool(one.next) == bool(one.left_out)
        assert one.after == (pages[index - 1].next if index else "")
        assert sum(view.state != "running" for view in one.jobs) <= count
        assert (one.others, one.elsewhere) == (3, 0)
    assert len(pages) == max(1, -(-(len(everything) - 1) // count))


def test_jobs_of_the_same_key_are_listed_and_those_of_other_clients_counted(office: Office) -> None:
    submit(office, 2, SIBLING)
    told = page(office)
    assert [view.mine for view in told.jobs] == [True, False, False]
    assert (told.others, told.elsewhere) == (0, 2)


def test_jobs_that_end_or_come_between_pages_hide_no_other(office: Office) -> None:
    queue = submit(office, 30)
    first = page(office, count=10)
    for name in (queue[3], queue[9], queue[12]):
        office.store.finish(Cancelled(job=name))
    late = Job("f" * 32, ME, order())
    office.store.add(late)
    second = page(office, count=10, after=first.next)
    third = page(office, count=10, after=second.next)
    assert [view.job for view in (*second.jobs, *third.jobs)] == [*queue[10:12], *queue[13:], late.id]
    assert third.next == ""


def test_ended_ones_that_are_forgotten_between_pages_hide_no_other(office: Office) -> None:
    past = end(office, 20)[::-1]
    first = page(office, count=5, ended=15)
    assert [view.job for view in first.jobs if view.state != "running"] == past[:5]
    end(office, 2)
    office.store.drop_result(past[4])
    second = page(office, count=100, ended=15, after=first.next)
    assert [view.job for view in second.jobs] == past[5:15]
    assert second.next == ""


@given(mark=st.text("0123456789abcdef", min_size=32, max_size=32), ended=st.integers(0, 500))
def test_any_mark_is_answered(tmp_path_factory: pytest.TempPathFactory, mark: str, ended: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELEVATOR_HOME", str(tmp_path_factory.mktemp("home")))
        office = Office(tmp_path_factory.mktemp("office"))
    submit(office, 3)
    told = page(office, after=mark, ended=ended, count=1)
    assert len(told.jobs) <= 1
    assert told.after == mark


# Coming back ------------------------------------------------------------------------------------------------


def come_back(office: Office, client_id: str = "1" * 32) -> None:
    office.told.clear()
    assert office.desk.welcome(b"again", "local", Hello(client="again", client_id=client_id)) is None


def heard(office: Office) -> list[Message]:
    """What the client that came back was told since."""
    told = [message for identity, message, _ in office.told if identity == b"again"]
    office.told.clear()
    return told


def views(messages: list[Message]) -> list[JobView]:
    return [view for message in messages if isinstance(message, Jobs) for view in message.jobs]


def test_what_was_missed_comes_in_parts_that_are_no_larger_than_others(office: Office) -> None:
    past = ["b" * 32, *end(office, 2 * PART)]
    queue = submit(office, PART + 5)
    come_back(office)
    parts = [heard(office)[1:]]  # the first one is the welcome
    while office.desk.busy:
        office.desk.look()
        parts.append(heard(office))
    assert [len(views(part)) for part in parts if views(part)] == [PART, PART, PART, 7]
    assert all(len(part) <= PART for part in parts)
    everything = [message for part in parts for message in part]
    assert [view.job for view in views(everything)] == [*("a" * 32,), *queue, *past[::-1]]
    assert [message.job for message in everything if isinstance(message, Done | Cancelled)] == past
    shown = [isinstance(message, Jobs) for message in everything]
    assert shown == sorted(shown, reverse=True), "where they stand comes before how they ended"


def test_little_that_was_missed_comes_at_once(office: Office) -> None:
    end(office, 3)
    come_back(office)
    told = heard(office)
    assert len(views(told)) == 5
    assert [type(message) for message in told[2:]] == [Done, Cancelled, Done, Cancelled]
    assert not office.desk.busy


def test_an_end_that_comes_meanwhile_is_told_once(office: Office) -> None:
    """By whoever ends it: the client hears its jobs from its welcome on."""
    past = ["b" * 32, *end(office, PART)]
    (waits,) = submit(office, 1)
    come_back(office)
    office.store.finish(Cancelled(job=waits))
    while office.desk.busy:
        office.desk.look()
    told = heard(office)
    assert [message.job for message in told if isinstance(message, Done | Cancelled)] == past


def test_a_client_that_has_gone_is_told_nothing_more(office: Office) -> None:
    end(office, 3 * PART)
    come_back(office)
    office.peers.remove(b"again")
    heard(office)
    office.desk.look()
    assert (heard(office), office.desk.busy) == ([], False)


def test_a_client_that_comes_twice_is_told_from_the_start(office: Office) -> None:
    past = ["b" * 32, *end(office, 2 * PART)]
    come_back(office)
    office.desk.look()
    come_back(office)
    while office.desk.busy:
        office.desk.look()
    told = heard(office)
    assert [message.job for message in told if isinstance(message, Done | Cancelled)] == past
    assert len(views(told)) == len(past) + 1


def test_what_the_database_did_not_tell_at_first_is_told_later(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    past = ["b" * 32, *end(office, PART)]

    def refused(*asked: object, **more: object) -> tuple[Job, ...]:
        raise StoreRefuses("disk I/O error", StorageFailure("disk_full"))

    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "undelivered", refused)
        come_back(office)
        for _ in range(3):
            office.desk.look()
    office.desk._read_at = 0.0  # a second later
    for _ in range(5):
        office.desk.look()
    told = heard(office)
    assert [message.job for message in told if isinstance(message, Done | Cancelled)] == past
    assert not office.desk.busy


def test_nothing_missed_is_nothing_told(office: Office) -> None:
    come_back(office, "9" * 32)
    assert len(heard(office)) == 1
    assert not office.desk.busy
