"""What fails on a client's side, whoever the client is: never said over the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from shared_protocol.messages import DenialCode, Denied, Failed, FailureCode

from ..failures import (
    EXIT_CANNOT_WRITE,
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_NO_BACKEND,
    EXIT_TO_CHANGE,
    FULL,
    OPEN_DISK,
    WIRE,
    BackendError,
    StorageFailure,
    Wording,
)

ClientCode: TypeAlias = Literal[
    "folder_unwritable",
    "folder_in_use",
    "film_in_use",
    "no_backend",
    "not_reached",
    "not_there",
    "home_open",
    "home_unwritable",
    "connection_gone",
    "no_profile",
    "not_started",
    "profile_missing",
    "profile_unfit",
    "no_such_job",
    "ambiguous_job",
    "job_not_followed",
    "no_picture",
    "no_upload",
    "frames_missing",
    "cancelled",
]

CLIENT: dict[ClientCode, Wording] = {
    "folder_unwritable": Wording(
        "The folder {folder} cannot be written: {detail}.",
        "Choose another folder.",
        EXIT_CANNOT_WRITE,
    ),
    "folder_in_use": Wording(
        "The folder {folder} holds frames of another clip already.",
        "Choose another folder, or add --overwrite to replace them.",
        EXIT_CANNOT_WRITE,
    ),
    "film_in_use": Wording(
        "{file} is there already.",
        "Choose another name, or add --overwrite to replace it.",
        EXIT_CANNOT_WRITE,
    ),
    "no_backend": Wording(
        "No backend runs.",
        'Start one with "{launcher} serve".',
        EXIT_NO_BACKEND,
    ),
    "not_reached": Wording(
        "{detail}",
        "Start the backend again.",
        EXIT_NO_BACKEND,
    ),
    "not_there": Wording(
        "{detail}",
        "Look whether the backend runs there and serves others (--bind), and at the address in the profile.",
        EXIT_NO_BACKEND,
    ),
    "home_open": OPEN_DISK,
    "home_unwritable": Wording(
        "The folder {folder}, where Elevator keeps its own files, cannot be written: {detail}.",
        "Give yourself the right to write there, or name another folder in the variable ELEVATOR_HOME.",
        EXIT_CANNOT_WRITE,
    ),
    "connection_gone": Wording(
        "A backend runs, process {pid}, but its connection file {file} is not there.",
        "Wait a moment, for it writes the file anew; if it stays away, end process {pid} and start the backend again: "
        "what it was asked for waits in its queue.",
        EXIT_NO_BACKEND,
    ),
    "no_profile": Wording(
        "{detail}",
        'Make the profile with "{launcher} profile".',
        EXIT_TO_CHANGE,
    ),
    "not_started": Wording(
        "The backend did not start: {detail}",
        "The log says more: {log}.",
        EXIT_NO_BACKEND,
    ),
    "profile_missing": Wording(
        'There is no profile "{name}".',
        'Make it with "{launcher} profile {name} --endpoint tcp://HOST:PORT --server-key FILE".',
        EXIT_TO_CHANGE,
    ),
    "profile_unfit": Wording(
        "{detail}",
        'Make it anew with "{launcher} profile {name} --endpoint tcp://HOST:PORT --server-key FILE".',
        EXIT_TO_CHANGE,
    ),
    "no_such_job": Wording(
        'No job begins with "{detail}".',
        'See the lists with "{launcher} queue" and "{launcher} results", and give at least four digits.',
        EXIT_TO_CHANGE,
    ),
    "ambiguous_job": Wording(
        'Several jobs begin with "{detail}".',
        "Give more digits.",
        EXIT_TO_CHANGE,
    ),
    "job_not_followed": Wording(
        "The end of the job {job} was not read yet.",
        "Wait for it first.",
        EXIT_INTERNAL,
    ),
    "no_picture": Wording(
        "{file} {detail}.",
        "Give PNG files of at most 64 MB.",
        EXIT_TO_CHANGE,
    ),
    "no_upload": Wording(
        "The backend does not take the picture.",
        "Try again in a moment.",
    ),
    "frames_missing": Wording(
        "{count} frames of the clip did not come.",
        "Try again, and make the clip again if they stay away.",
    ),
    "cancelled": Wording(
        "The job was cancelled.",
        "Nothing was kept.",
        EXIT_INTERRUPTED,
    ),
}


class ClientFailure(BackendError):
    """Something failed before the backend had a say, or after it. `details` fill the sentence."""

    def __init__(self, code: ClientCode, **details: object) -> None:
        super().__init__(*CLIENT[code].filled(details))
        self.code: ClientCode = code


class SaidByBackend(BackendError):
    """What the backend has said of a failure, as it said it."""

    def __init__(self, event: Failed | Denied) -> None:
        super().__init__(event.message, event.next_step, WIRE[event.code].exit_code)
        self.code: FailureCode | DenialCode = event.code


def cannot_write(folder: Path, error: OSError) -> StorageFailure | ClientFailure:
    """What to say when writing into a folder that the user named failed."""
    if error.errno in FULL:
        return StorageFailure("disk_full")
    return ClientFailure("folder_unwritable", folder=folder, detail=error.strerror)


def cannot_write_home(folder: Path, error: OSError) -> StorageFailure | ClientFailure:
    """What to say when writing into a folder of the product's own failed."""
    if error.errno in FULL:
        return StorageFailure("disk_full")
    return ClientFailure("home_unwritable", folder=folder, detail=error.strerror)
