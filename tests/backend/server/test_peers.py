"""Who hears what."""

from __future__ import annotations

from backend.server.jobs import Job, Owner
from backend.server.peers import Peer, Peers
from tests.backend.orders import order

A, B = "a" * 32, "b" * 32
ME = Owner("local", "1" * 32)


def test_previews_are_wanted_as_long_as_anybody_wants_them() -> None:
    peers = Peers()
    one, other = Peer(b"one", "one", ME), Peer(b"other", "other", ME)
    peers.add(one)
    peers.add(other)
    assert not peers.want_previews(A)
    one.previews.add(A)
    other.previews |= {A, B}
    assert peers.want_previews(A)
    assert peers.remove(b"other") is other
    assert peers.want_previews(A)
    assert not peers.want_previews(B)
    one.previews.clear()
    assert not peers.want_previews(A)


def test_a_job_is_heard_by_its_owner_and_by_who_watches_it_with_the_same_key() -> None:
    peers = Peers()
    owners = {
        "owner": ME,
        "watcher": Owner("local", "2"),
        "passer-by": Owner("local", "3"),
        "stranger": Owner("k", "1"),
    }
    for name, owner in owners.items():
        peers.add(Peer(name.encode(), name, owner))
    for connection in peers:
        if connection.name in ("watcher", "stranger"):
            connection.watched.add(A)
    assert [one.name for one, _ in peers.hearing(Job(A, ME, order()))] == ["owner", "watcher"]


def test_nobody_speaks_in_anothers_name() -> None:
    peers = Peers()
    mine = Peer(b"id", "one", ME)
    peers.add(mine)
    assert peers.get(b"id", "local") is mine
    assert peers.get(b"id", "other") is None
    assert peers.get(b"no", "local") is None
    peers.add(again := Peer(b"id", "again", ME))
    assert list(peers) == [again]
    assert len(peers) == 1
