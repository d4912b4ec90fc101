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
        if worker.job:
            yield f"{worker.device}: makes a clip."
        else:
            yield f"{worker.device}: rests, models in memory." if worker.pid else f"{worker.device}: takes no memory."
    yield f"Models were read from disk {times(status.loads)}."


def times(count: int) -> str:
    """ "once", "3 times"."""
    return {0: "never", 1: "once"}.get(count, f"{count} times")


def jobs(count: int) -> str:
    """ "1 job", "2 jobs"."""
    return "1 job" if count == 1 else f"{count} jobs"


def who_waits(mine: int, others: int) -> str:
    """Whose jobs wait if the backend is stopped; nothing if nobody's do."""
    whose = [f"{jobs(count)} of {who}" for count, who in ((mine, "yours"), (others, "others")) if count]
    verb = "waits" if mine + others == 1 else "wait"
    return f"{' and '.join(whose)} {verb} for the next start." if whose else ""
