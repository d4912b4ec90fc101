"""A client's conversation with the backend, in which answers are told from the events of jobs."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

import msgspec

from shared_protocol.client import Client, Lost
from shared_protocol.connection import Connection
from shared_protocol.messages import (
    Accepted,
    Answering,
    Cancelled,
    Conform,
    Denied,
    Done,
    Failed,
    Frame,
    Generate,
    Message,
    Notice,
    Progress,
    Queue,
    Request,
    Styles,
    Welcome,
)
from shared_protocol.wire import Buffer, Incoming

from .failures import ClientFailure, SaidByBackend

WAIT_SECONDS = 1.0
ENDS = (Done, Failed, Cancelled)
JOB_EVENTS = (Accepted, Progress, Notice, Frame, *ENDS)
M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class _Asked:
    """A request whose answer is waited for."""

    request: Request
    answers: deque[Incoming] = field(default_factory=deque)
    """What was not read yet."""


class Conversation:
    """Sends requests and waits for what they bring. All methods but `close` raise BackendError after a loss."""

    def __init__(self, connection: Connection, *, name: str, client_id: str) -> None:
        """Connect without waiting."""
        self._client = Client(connection, name=name, client_id=client_id)
        self._far = not connection.pid
        self._lost: Lost | None = None
        self._welcome: Welcome | None = None
        self._numbers = count(1)
        self._asked: dict[str, _Asked] = {}
        """By the name under which a request was sent."""
        self._events: dict[str, deque[Incoming]] = {}
        """Of each job that is followed, what was not read yet."""
        self._news: deque[Incoming] = deque()
        """`Queue`, which comes unasked."""

    def greeting(self) -> Welcome:
        """Wait for the backend's greeting; its lists are those that it told last."""
        while self._welcome is None:
            self._hear()
        return self._welcome

    def tell(self, request: Request) -> None:
        """Send a request of which no answer is waited for."""
        self._client.send(request)

    def send(self, request: Request, buffers: Sequence[Buffer] = ()) -> str:
        """Send a request without waiting for its answer. Returns the name by which `answer` waits for it.

        Raises ValueError if it is too large or no Unicode.
        """
        name = str(next(self._numbers))
        self._client.send(msgspec.structs.replace(request, request_id=name), buffers)
        self._asked[name] = _Asked(request)
        return name

    def ask(self, request: Request, kind: type[M]) -> M:
        """Send a request and wait for its answer, which is of this kind. Raises BackendError if it is denied."""
        answer = self.answer(self.send(request)).message
        assert isinstance(answer, kind)
        return answer

    def answer(self, name: str) -> Incoming:
        """Wait for the next answer to a request that was sent: to `Fetch` it has several, the last one is no `Frame`.
        Raises BackendError if the request is denied."""
        answers = self._asked[name].answers
        while not answers:
            self._hear()
        incoming = answers.popleft()
        if not isinstance(incoming.message, Frame):
            del self._asked[name]
        if isinstance(incoming.message, Denied):
            raise SaidByBackend(incoming.message)
        return incoming

    def follow(self, job: str) -> None:
        """Keep the events of a job from now on, until one that ends it was read."""
        self._events.setdefault(job, deque())

    def unfollow(self, job: str) -> None:
        """Keep its events no longer."""
        self._events.pop(job, None)

    def next_event(self, jobs: Collection[str]) -> tuple[str, Incoming]:
        """Wait for and read the next event of any of these jobs; or `Queue`, which is of none: its job is empty."""
        while True:
            for job in jobs:
                if events := self._events[job]:
                    incoming = events.popleft()
                    if isinstance(incoming.message, ENDS):
                        self.unfollow(job)
                    return job, incoming
            if self._news:
                return "", self._news.popleft()
            self._hear()

    def close(self) -> None:
        """End it."""
        self._client.close()

    def _hear(self) -> None:
        """Wait a while, and sort what has come."""
        if self._lost is not None:  # what came before the loss has been read
            if self._far and self._welcome is None:
                raise ClientFailure("not_there", detail=self._lost.reason)
            raise ClientFailure("not_reached", detail=self._lost.reason)
        self._client.wait(WAIT_SECONDS)
        for incoming in self._client.poll(budget=WAIT_SECONDS):
            self._sort(incoming)

    def _sort(self, incoming: Incoming) -> None:
        message, buffers = incoming
        asked = self._asked.get(message.request_id) if isinstance(message, Answering) else None
        if isinstance(message, Answering) and message.request_id:  # which is between this and the backend
            message = msgspec.structs.replace(message, request_id="")
            incoming = Incoming(message, buffers)
        if asked is not None and _answers_alone(message, asked.request):
            asked.answers.append(incoming)
            return
        match message:
            case Lost():
                self._lost = message
            case Welcome():
                self._welcome = message
            case Styles() if self._welcome is not None:
                self._welcome = msgspec.structs.replace(self._welcome, styles=message.styles, notes=message.notes)
            case Queue():
                self._news.append(incoming)
            case Accepted() | Progress() | Notice() | Frame() | Done() | Failed() | Cancelled():
                if message.job in self._events:
                    self._events[message.job].append(incoming)
        if asked is not None and isinstance(message, Accepted):
            asked.answers.append(incoming)


def _answers_alone(message: Message, request: Request) -> bool:
    """Whether it says nothing of a job to those who follow that: an order that was refused is no end of a job."""
    if isinstance(request, Generate | Conform):
        return isinstance(message, Failed)
    return isinstance(message, Frame) or not isinstance(message, JOB_EVENTS)
