"""Who is connected, under which name, and what each wants to hear. No sockets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .asked import Asked
from .jobs import Job, Owner


@dataclass
class Peer:
    """One client that has said Hello and can be reached."""

    identity: bytes
    name: str
    owner: Owner
    live_frames: bool = True
    """Whether frames go to it as they are made."""
    watched: set[str] = field(default_factory=set)
    """Jobs of the same key that it asked to hear of."""
    previews: set[str] = field(default_factory=set)
    """Jobs of which it wants previews."""
    asked: Asked = field(default_factory=Asked)
    """Its requests that are not answered yet."""

    def hears(self, job: Job) -> bool:
        """Whether events of the job go to it."""
        return job.owner == self.owner or (job.id in self.watched and self.may_see(job))

    def may_see(self, job: Job) -> bool:
        """Whether the job belongs to its key."""
        return job.owner.principal == self.owner.principal


class Audience(NamedTuple):
    """Of whom is somebody there who hears of their jobs."""

    owners: Collection[Owner]
    watched: Collection[str]
    """And single jobs of others."""


class Peers:
    """All of them, by identity."""

    def __init__(self) -> None:
        self._all: dict[bytes, Peer] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Peer]:
        return iter(tuple(self._all.values()))

    def add(self, peer: Peer) -> None:
        """A client has come; one of the same identity goes."""
        self._all[peer.identity] = peer

    def get(self, identity: bytes, principal: str) -> Peer | None:
        """The peer of this identity, if it is of this key: nobody speaks in another's name."""
        found = self._all.get(identity)
        return found if found is not None and found.owner.principal == principal else None

    def at(self, identity: bytes) -> Peer | None:
        """The peer of this identity, of whatever key."""
        return self._all.get(identity)

    def of_key(self, principal: str) -> int:
        """How many there are of one key."""
        return sum(peer.owner.principal == principal for peer in self._all.values())

    def remove(self, identity: bytes) -> Peer | None:
        """A client is gone."""
        return self._all.pop(identity, None)

    def hearing(self, job: Job, *, end: bool = False) -> Iterator[tuple[Peer, bool]]:
        """To whom events of the job go, and whether its previews go there, too. `end`: it is the last one, for which
        whoever has cancelled the job waits."""
        heard = (peer for peer in self if peer.hears(job) or (end and peer.asked.awaits_end(job.id)))
        return ((peer, job.id in peer.previews) for peer in heard)

    def audience(self) -> Audience:
        """Whose jobs are heard of."""
        owners = {peer.owner for peer in self._all.values()}
        return Audience(owners, set().union(*(peer.watched for peer in self._all.values())))

    def want_previews(self, job_id: str) -> bool:
        """Whether anybody does."""
        return any(job_id in peer.previews for peer in self._all.values())
