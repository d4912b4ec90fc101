"""Who hears what."""

from __future__ import annotations

from backend.server.connections import Connection, Connections
from backend.server.jobs import Job, Owner
from tests.backend.orders import order

A, B = "a" * 32, "b" * 32
ME = Owner("local", "1" * 32)


def test_previews_are_wanted_as_long_as_anybody_wants_them() -> None:
    connections = Connections()
    one, other = Connection(b"one", "one", ME), Connection(b"other", "other", ME)
    connections.add(one)
    connections.add(other)
    assert not connections.want_previews(A)
    one.previews.add(A)
    other.previews |= {A, B}
    assert connections.want_previews(A)
    assert connections.remove(b"other") is other
    assert connections.want_previews(A)
    assert not connections.want_previews(B)
    one.previews.clear()
    assert not connections.want_previews(A)


def test_a_job_is_heard_by_its_owner_and_by_who_watches_it_with_the_same_key() -> None:
    connections = Connections()
    owners = {
        "owner": ME,
        "watcher": Owner("local", "2"),
        "passer-by": Owner("local", "3"),
        "stranger": Owner("k", "1"),
    }
    for name, owner in owners.items():
        connections.add(Connection(name.encode(), name, owner))
    for connection in connections:
        if connection.name in ("watcher", "stranger"):
            connection.watched.add(A)
    assert [one.name for one, _ in connections.hearing(Job(A, ME, order()))] == ["owner", "watcher"]


def test_nobody_speaks_in_anothers_name() -> None:
    connections = Connections()
    mine = Connection(b"id", "one", ME)
    connections.add(mine)
    assert connections.get(b"id", "local") is mine
    assert connections.get(b"id", "other") is None
    assert connections.get(b"no", "local") is None
    connections.add(again := Connection(b"id", "again", ME))
    assert list(connections) == [again]
    assert len(connections) == 1
