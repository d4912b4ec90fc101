"""What a person reads about the backend. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shared_protocol.messages import Status

from .link import Link
from .words import Phrase


def state(link: Link, device: str) -> str:
    """Whether it runs, in a sentence."""
    match link:
        case Link.READY:
            if device in ("", "none"):
                return "The backend is ready."
            return Phrase("The backend is ready. It works on {device}.", device=device)
        case Link.NONE:
            return "No backend is connected. It starts with the first Generate."
    return "The backend is starting."


def devices(status: Status) -> Iterator[str]:
    """What each of its devices does."""
    for worker in status.workers:
        if worker.state == "working":
            yield Phrase("{device}: makes a clip.", device=worker.device)
        elif worker.state == "resting":
            yield Phrase("{device}: rests, models in memory.", device=worker.device)
        else:
            yield Phrase("{device}: takes no memory.", device=worker.device)
    yield Phrase("Models were read from disk {times}.", times=times(status.loads))


def times(count: int) -> str:
    """ "once", "3 times"."""
    return {0: Phrase("never"), 1: Phrase("once")}.get(count, Phrase("{count} times", count=count))


def jobs(count: int) -> str:
    """ "1 job", "2 jobs"."""
    return Phrase("{count} job", count=count) if count == 1 else Phrase("{count} jobs", count=count)


def who_waits(mine: int, others: int) -> str:
    """Whose jobs wait if the backend is stopped; nothing if nobody's do."""
    match mine, others:
        case 0, 0:
            return ""
        case 1, 0:
            return Phrase("{jobs} of yours waits for the next start.", jobs=jobs(mine))
        case _, 0:
            return Phrase("{jobs} of yours wait for the next start.", jobs=jobs(mine))
        case 0, 1:
            return Phrase("{jobs} of others waits for the next start.", jobs=jobs(others))
        case 0, _:
            return Phrase("{jobs} of others wait for the next start.", jobs=jobs(others))
    return Phrase(
        "{mine} of yours and {others} of others wait for the next start.", mine=jobs(mine), others=jobs(others)
    )
