"""What the log says about those who may not come in: enough to see them, and never a flood."""

from __future__ import annotations

import errno
import logging
import threading
import time
import uuid

import zmq
from zmq.utils.monitor import recv_monitor_message

log = logging.getLogger(__name__)

LOGGED_PER_MINUTE = 20
"""Refusals that are logged, so that a flood of strangers does not push all else out of the log."""
FAILED = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_HANDSHAKES: dict[int, str] = {
    zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: "it does not speak our encryption",
    zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC: "it expects another backend, or has not the secret to its key",
}


class StrangerLog:
    """Warnings about strangers, so many a minute at most."""

    def __init__(self) -> None:
        self._minute = 0.0
        self._logged = 0

    def __call__(self, sentence: str, *details: object) -> bool:
        """Log it, if there is room. Whether there was."""
        now = time.monotonic()
        if now - self._minute > 60.0:
            self._minute, self._logged = now, 0
        self._logged += 1
        if self._logged <= LOGGED_PER_MINUTE:
            log.warning(sentence, *details)
        if self._logged == LOGGED_PER_MINUTE:
            log.warning("Further refusals in this minute are not logged.")
        return self._logged <= LOGGED_PER_MINUTE


def log_handshakes(socket: zmq.Socket[bytes]) -> None:
    """Log who is turned away before a key is looked up in a list. Done anew for the same socket, it starts afresh.

    Only a socket's monitor tells this. The thread ends with the socket, or with its context. Raises OSError where no
    thread can be started.
    """
    address = f"inproc://handshakes-{uuid.uuid4().hex}"
    socket.monitor(address, FAILED | zmq.EVENT_MONITOR_STOPPED)  # without the last one the thread never ends
    # A view of the context: what closes the context's own sockets must not close this one from another thread.
    monitor = zmq.Context(shadow=socket.context).socket(zmq.PAIR)
    monitor.linger = 0
    monitor.connect(address)
    try:
        threading.Thread(target=_read_handshakes, args=(monitor,), name="handshakes", daemon=True).start()
    except RuntimeError as error:  # Python's word for a system that has none left
        # In this order: the socket tells its monitor that it is the end, and waits for ever where there is none.
        socket.disable_monitor()
        monitor.close()
        raise OSError(errno.EAGAIN, "no further thread can be started") from error


def _read_handshakes(monitor: zmq.Socket[bytes]) -> None:
    warn = StrangerLog()
    try:
        while (event := recv_monitor_message(monitor))["event"] != zmq.EVENT_MONITOR_STOPPED:
            warn(
                "A connection was refused: %s.",
                _HANDSHAKES.get(event["value"], "it broke off while keys were exchanged"),
            )
    except zmq.ContextTerminated:
        pass
    finally:
        monitor.close()
