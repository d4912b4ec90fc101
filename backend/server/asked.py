"""Which request an event answers: one place that puts the request's name into its answers. No sockets."""

from __future__ import annotations

import msgspec

from shared_protocol.messages import (
    ANSWERS,
    Answering,
    AskEstimate,
    Asking,
    Cancel,
    Denied,
    Estimate,
    Fetch,
    Frame,
    Message,
    Shutdown,
    Watch,
)

_LATER = (Cancel, Fetch, AskEstimate, Shutdown)
"""Requests that may still be answered when they have been followed."""
_ONCE = (Cancel, AskEstimate)
"""Requests that take the place of an earlier one of their kind and job: there is one answer for both."""


class Asked:
    """What one client has asked and was not told yet."""

    def __init__(self) -> None:
        self._open: list[Asking] = []
        """Oldest first: answers come in the order of their requests."""

    def begin(self, request: Asking) -> None:
        """The client asks, and what follows answers it."""
        if isinstance(request, _ONCE):
            self._open = [one for one in self._open if type(one) is not type(request) or _job(one) != _job(request)]
        self._open.append(request)

    def followed(self, request: Asking) -> None:
        """The request was followed: what comes now is no answer to it, unless it is one that takes its time."""
        if not isinstance(request, _LATER):
            self._close(request)

    def named(self, message: Message) -> Message:
        """The message, with the name of the request that it answers."""
        if not isinstance(message, Answering):
            return message
        for request in self._open:
            if _answers(message, request):
                if not _goes_on(message, request):
                    self._close(request)
                named = bool(request.request_id)
                return msgspec.structs.replace(message, request_id=request.request_id) if named else message
        return message

    def awaits_end(self, job: str) -> bool:
        """Whether it has asked to cancel the job, whose end is the answer."""
        return any(isinstance(request, Cancel) and request.job == job for request in self._open)

    def _close(self, request: Asking) -> None:
        self._open = [one for one in self._open if one is not request]


def _answers(message: Answering, request: Asking) -> bool:
    if type(message) not in ANSWERS[type(request)]:
        return False
    if isinstance(message, Denied) and message.request != type(request).__name__:
        return False
    return _job(message) in ("", _job(request)) or not _job(request)


def _goes_on(message: Answering, request: Asking) -> bool:
    """Whether the request has further answers."""
    return isinstance(message, Frame) or isinstance(request, Watch) or (isinstance(message, Estimate) and message.more)


def _job(message: Message) -> str:
    return getattr(message, "job", "")
