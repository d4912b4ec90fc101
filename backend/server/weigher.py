"""Finds out how much memory clips take, beside the server's loop: one process at a time, each answer once."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from shared_protocol.messages import Generate

from ..child_environment import child_environment
from ..orders import Answer, Question, Sample
from ..root import ROOT

log = logging.getLogger(__name__)

MOST_KEPT = 1000
"""Answers that are remembered."""
CANNOT_SAY = Answer(memory=0)
COMMAND = (sys.executable, "-m", "backend.worker.weighing")


class Weigher:
    """Questions of clients, of each the last one alone: an artist who moves a slider wants to know its end."""

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._command = command
        self._known: OrderedDict[bytes, Answer] = OrderedDict()
        """By question."""
        self._wanted: dict[bytes, tuple[Generate, bytes]] = {}
        """By client: the clip that it asks about, and the question."""
        self._foreseen: dict[bytes, None] = {}
        """Questions that no client has asked, in their order."""
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = b""

    def ask(self, client: bytes, clip: Generate, order: Sample, device: str, there: int = 0) -> Answer | None:
        """What a clip takes on a device that has so many bytes (0: nobody knows); None: `look` will tell."""
        question = _question(order, device, there)
        if question in self._known:
            self._wanted.pop(client, None)
            return self._known[question]
        self._wanted[client] = (clip, question)
        self._go_on()
        return None

    def known(self, order: Sample, device: str, there: int) -> Answer | None:
        """What is known already of a clip; nothing is asked."""
        return self._known.get(_question(order, device, there))

    def foresee(self, order: Sample, device: str, there: int) -> None:
        """Find out what a clip takes, when no client asks, so that it is known when the clip's turn comes."""
        question = _question(order, device, there)
        if question not in self._known:
            self._foreseen[question] = None
            self._go_on()

    def look(self) -> Iterator[tuple[bytes, Generate, Answer]]:
        """Clients, the clips that they asked about, and what these take, as far as that is new."""
        if self._process is not None and self._process.poll() is not None:
            self._known[self._asked] = _said(self._process)
            self._process = None
            self._foreseen.pop(self._asked, None)
        while len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        for client, (clip, question) in list(self._wanted.items()):
            if question in self._known:
                del self._wanted[client]
                yield client, clip, self._known[question]
        self._go_on()

    def forget(self, client: bytes) -> None:
        """The client has gone."""
        self._wanted.pop(client, None)

    def close(self) -> None:
        """End what is under way."""
        self._wanted.clear()
        self._foreseen.clear()
        if self._process is not None:
            self._process.kill()
            _said(self._process)
            self._process = None

    def _go_on(self) -> None:
        """Ask the next question, if none is being answered."""
        questions = (*(question for _, question in self._wanted.values()), *self._foreseen)
        if self._process is not None or not questions:
            return
        self._asked = questions[0]
        try:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=child_environment(os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            assert self._process.stdin is not None
            with self._process.stdin as stdin:  # a question is smaller than a pipe
                stdin.write(self._asked)
        except OSError as error:
            log.warning("A clip's memory cannot be found out: %s.", error)
            self._known[self._asked] = CANNOT_SAY
            self._foreseen.pop(self._asked, None)


def _question(order: Sample, device: str, there: int) -> bytes:
    """What the memory depends on, and nothing else of the order."""
    bare = msgspec.structs.replace(
        order,
        prompt="",
        negative_prompt="",
        seed=0,
        style="",
        preset="",
        footage=(),
        strength=1.0,
        anchor=None,
        flow_fps=None,
    )
    return msgspec.json.encode(Question(order=bare, device=device, there=there))


def _said(process: subprocess.Popen[bytes]) -> Answer:
    """What a process that has ended, or ends now, has answered."""
    assert process.stdout is not None
    with process.stdout as stdout:
        text = stdout.read()
    if process.wait():
        return CANNOT_SAY
    try:
        return msgspec.json.decode(text, type=Answer)
    except msgspec.DecodeError:
        return CANNOT_SAY
