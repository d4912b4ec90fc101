"""A client's conversation with the backend, in which answers are told from the events of jobs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from shared_protocol.client import Client, Lost
from shared_protocol.connection import Connection
from shared_protocol.messages import (
    Accepted,
    Cancelled,
    Denied,
    Done,
    Failed,
    Frame,
    Message,
    Notice,
    Progress,
    Queue,
    Request,
)
from shared_protocol.wire import Buffer, Incoming

from .failures import ClientFailure, SaidByBackend

WAIT_SECONDS = 1.0
ENDS = (Done, Failed, Cancelled)
JOB_EVENTS = (Accepted, Progress, Notice, Frame, *ENDS)
M = TypeVar("M", bound=Message)


class Conversation:
    """Sends requests and waits for what they bring. All methods but `close` raise BackendError after a loss."""

    def __init__(self, connection: Connection, *, name: str, client_id: str) -> None:
        """Connect without waiting."""
        self._client = Client(connection, name=name, client_id=client_id)
        self._lost: Lost | None = None
        self._events: dict[str, deque[Incoming]] = {}
        """Of each job that is followed, what was not read yet."""
        self._rest: deque[Incoming] = deque()
        """Answers, and `Queue`, which belong to no job."""

    def send(self, request: Request, buffers: Sequence[Buffer] = ()) -> None:
        """Send a request without waiting for its answer."""
        self._client.send(request, buffers)

    def follow(self, job: str) -> None:
        """Keep the events of a job from now on, until one that ends it was read."""
        self._events.setdefault(job, deque())

    def unfollow(self, job: str) -> None:
        """Keep its events no longer."""
        self._events.pop(job, None)

    def first_of(self, job: str) -> Message:
        """Wait for the next event of a job that is followed, and leave it unread."""
        while not self._events[job]:
            self._hear()
        return self._events[job][0].message

    def next_event(self, jobs: Collection[str]) -> tuple[str, Incoming]:
        """Wait for and read the next event of any of these jobs; or `Queue`, which is of none: its job is empty."""
        while True:
            for job in jobs:
                if events := self._events[job]:
                    incoming = events.popleft()
                    if isinstance(incoming.message, ENDS):
                        self.unfollow(job)
                    return job, incoming
            for incoming in self._rest:
                if isinstance(incoming.message, Queue):
                    self._rest.remove(incoming)
                    return "", incoming
            self._hear()

    def ask(self, request: Request | None, kind: type[M], fits: Callable[[M], bool] = lambda answer: True) -> M:
        """Send a request, if any, and wait for an answer of this kind. Raises BackendError if it is denied."""
        if request is not None:
            self.send(request)
        while True:
            answer = self.answer(request, kind).message
            if isinstance(answer, kind) and fits(answer):
                return answer

    def answer(self, request: Request | None, *kinds: type[Message]) -> Incoming:
        """Wait for the next answer of these kinds to a request that was sent. Other answers are dropped, but `Queue`,
        which comes unasked, is kept for `next_event`. Raises BackendError if the request is denied."""
        while True:
            for incoming in tuple(self._rest):
                message = incoming.message
                if isinstance(message, Queue) and Queue not in kinds:
                    continue
                self._rest.remove(incoming)
                if isinstance(message, kinds):
                    return incoming
                if isinstance(message, Denied) and message.request == type(request).__name__:
                    raise SaidByBackend(message)
            self._hear()

    def close(self) -> None:
        """End it."""
        self._client.close()

    def _hear(self) -> None:
        """Wait a while, and sort what has come."""
        if self._lost is not None:  # what came before the loss has been read
            raise ClientFailure("not_reached", detail=self._lost.reason)
        self._client.wait(WAIT_SECONDS)
        for incoming in self._client.poll(budget=WAIT_SECONDS):
            message = incoming.message
            if isinstance(message, Lost):
                self._lost = message
            elif isinstance(message, JOB_EVENTS) and message.job in self._events:
                self._events[message.job].append(incoming)
            elif not isinstance(message, JOB_EVENTS) or isinstance(message, Frame):
                self._rest.append(incoming)  # frames of a job that nobody follows: they were fetched
