"""Why a backend does not start, or serves no longer: said where it was started, never over the wire."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ..failures import EXIT_NO_BACKEND, EXIT_TO_CHANGE, OPEN_DISK, BackendError, Wording

StartCode: TypeAlias = Literal[
    "queue_too_new",
    "queue_replaced",
    "queue_damaged",
    "lock_taken",
    "disk_open",
    "key_exposed",
    "key_damaged",
    "key_file_unfit",
    "key_file_open",
]

START: dict[StartCode, Wording] = {
    "queue_too_new": Wording(
        "The queue {file} was written by a newer release: {detail}.",
        "Install the newer release again, or move that file away.",
        EXIT_NO_BACKEND,
    ),
    "queue_replaced": Wording(
        "Another file was put in the place of the queue's file {file} while the backend ran, so the backend has ended.",
        "Keep one of the two under that name, the other file or {aside}, and start the backend again.",
        EXIT_NO_BACKEND,
    ),
    "queue_damaged": Wording(
        "The queue {file} is damaged, so the backend has ended: {detail}.",
        "Start it again: it puts that file aside, and finds finished clips again.",
        EXIT_NO_BACKEND,
    ),
    "lock_taken": Wording(
        "The file {file} was deleted while the backend ran, and another one has begun, so this one has ended.",
        "Nothing needs to be done: the other one has the queue.",
        EXIT_NO_BACKEND,
    ),
    "disk_open": OPEN_DISK,
    "key_exposed": Wording(
        "Others can read the key file {file}, so it proves nothing any more.",
        "Delete it, and make a new one.",
        EXIT_TO_CHANGE,
    ),
    "key_damaged": Wording(
        "The key file {file} is damaged.",
        "Delete it, and make a new one.",
        EXIT_TO_CHANGE,
    ),
    "key_file_unfit": Wording(
        "Nobody can be let in by the key file {file}: {detail}.",
        'Name the file "NAME.pub" that "{launcher} key NAME" has made on the other machine.',
        EXIT_TO_CHANGE,
    ),
    "key_file_open": Wording(
        "Nobody can be let in by the key file {file}: others can write it.",
        'Say "chmod go-w {file}", and look whether it still holds the right key.',
        EXIT_TO_CHANGE,
    ),
}


class StartFailure(BackendError):
    """The backend cannot start or go on, or a key of its cannot be used. `details` fill the sentence."""

    def __init__(self, code: StartCode, **details: object) -> None:
        super().__init__(*START[code].filled(details))
        self.code: StartCode = code
