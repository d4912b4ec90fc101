"""Every way in which things fail: one code, one sentence, one next step.

The codes of `messages.FailureCode` go over the wire; the others are said by the command line itself.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from shared_protocol.messages import Failed, FailureCode

SENTENCE_LENGTH = 2000

EXIT_DONE = 0
EXIT_INTERNAL = 1
EXIT_USAGE = 2  # argparse ends with this by itself
EXIT_NO_BACKEND = 3
EXIT_JOB_FAILED = 4
EXIT_CANNOT_WRITE = 5
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Failure:
    """One row. `{…}` in the texts is filled in by whoever fails."""

    sentence: str
    next_step: str
    exit_code: int = EXIT_JOB_FAILED
    defaults: Mapping[str, str] = field(default_factory=dict)
    """What is filled in where nobody says it."""


TABLE: dict[str, Failure] = {
    "unknown_job": Failure(
        "There is no such job.",
        'See the list with "python -m backend queue".',
        EXIT_USAGE,
    ),
    "job_not_waiting": Failure(
        "The job does not wait any more.",
        "Nothing needs to be done; cancel it if it shall not go on.",
        EXIT_USAGE,
    ),
    "job_not_ended": Failure(
        "The job has not ended yet.",
        "Wait for its end, or cancel it.",
        EXIT_USAGE,
    ),
    "no_result": Failure(
        "The job has no result, or no such frame, any more.",
        "Submit it again with the same seed.",
        EXIT_USAGE,
    ),
    "not_allowed": Failure(
        "Only the user of the backend's own machine may do this.",
        "Ask that user.",
        EXIT_USAGE,
    ),
    "bad_request": Failure(
        "The request cannot be used: {detail}.",
        "Change that setting and try again.",
        EXIT_USAGE,
    ),
    "empty_prompt": Failure(
        "The prompt is empty.",
        'Say what should be seen, such as "{example}".',
        EXIT_USAGE,
    ),
    "unknown_style": Failure(
        'There is no style "{style}".',
        "Choose one of these: {styles}.",
        EXIT_USAGE,
    ),
    "size_out_of_range": Failure(
        "A size of {width} × {height} pixels is not possible with this style.",
        "Choose width and height between {least} and {most} pixels, in steps of {step}.",
        EXIT_USAGE,
    ),
    "frames_out_of_range": Failure(
        "A clip of {frames} frames is not possible with this style.",
        "Choose between 1 and {most} frames.",
        EXIT_USAGE,
    ),
    "duplicate_job": Failure(
        "A job of this name exists already.",
        "Submit the request again under a new name; the first job goes on.",
        EXIT_USAGE,
    ),
    "lora_missing": Failure(
        'The LoRA "{name}" cannot be used: {detail}.',
        "Put the file into the folder of LoRAs of the base, or into loras of the settings folder, and name it.",
        EXIT_USAGE,
    ),
    "queue_full": Failure(
        "The queue holds {most} jobs and takes no more.",
        "Wait until some are done, or cancel some.",
    ),
    "model_missing": Failure(
        "The model {folder} is missing.",
        "Put it back, or choose another style.",
    ),
    "model_unfit": Failure(
        "The models of this style cannot do this: {detail}.",
        "Choose another style or mend its file.",
    ),
    "out_of_memory": Failure(
        "The memory of the device was not enough: {detail}.",
        "Choose fewer frames or a smaller size, or close other programs.",
        defaults={"detail": "the clip is too large for it"},
    ),
    "footage_missing": Failure(
        "A picture to start from cannot be used: {detail}.",
        "Send it again, or choose another one.",
    ),
    "disk_full": Failure(
        "The disk is full.",
        "Free some space there and try again.",
        EXIT_CANNOT_WRITE,
    ),
    "results_unwritable": Failure(
        "The folder of results {folder} cannot be written: {detail}.",
        "Give its owner the right to write there, or choose another data folder.",
        EXIT_CANNOT_WRITE,
    ),
    "source_missing": Failure(
        "The clip to be resampled is missing: {detail}.",
        "Choose a finished clip that is still there, or make it again.",
    ),
    "upload_refused": Failure(
        "The picture was not taken: {detail}.",
        "{step}.",
        EXIT_USAGE,
    ),
    "worker_died": Failure(
        "The process that makes the pictures ended without a word, perhaps for lack of memory.",
        "Try again with fewer frames or a smaller size; the log says more: {log}.",
    ),
    "worker_hung": Failure(
        "The process that makes the pictures was stuck twice and was ended.",
        "Try again with fewer frames or a smaller size; the log says more: {log}.",
    ),
    "other_version": Failure(
        "The job was left by another version of the backend, whose settings this one does not know.",
        "Submit it again.",
    ),
    "shutting_down": Failure(
        "The backend is ending.",
        "Try again in a moment.",
        EXIT_NO_BACKEND,
    ),
    "internal": Failure(
        "Something went wrong that should not: {detail}.",
        "Try again, and report it with the log {log} if it stays.",
        EXIT_INTERNAL,
    ),
    # Said by the command line only.
    "queue_too_new": Failure(
        "The queue {file} was written by a newer release: {detail}.",
        "Install the newer release again, or move that file away.",
        EXIT_NO_BACKEND,
    ),
    "folder_unwritable": Failure(
        "The folder {folder} cannot be written: {detail}.",
        "Choose another folder.",
        EXIT_CANNOT_WRITE,
    ),
    "folder_in_use": Failure(
        "The folder {folder} holds frames of another clip already.",
        "Choose another folder, or add --overwrite to replace them.",
        EXIT_CANNOT_WRITE,
    ),
    "no_backend": Failure(
        "No backend runs.",
        'Start one with "python -m backend serve".',
        EXIT_NO_BACKEND,
    ),
    "not_reached": Failure(
        "{detail}",
        "Start the backend again.",
        EXIT_NO_BACKEND,
    ),
    "no_profile": Failure(
        "{detail}",
        'Make the profile with "python -m backend profile".',
        EXIT_USAGE,
    ),
    "not_started": Failure(
        "The backend did not start: {detail}",
        "The log says more: {log}.",
        EXIT_NO_BACKEND,
    ),
    "key_exposed": Failure(
        "Others can read the key file {file}, so it proves nothing any more.",
        "Delete it, and make a new one.",
        EXIT_USAGE,
    ),
    "key_damaged": Failure(
        "The key file {file} is damaged.",
        "Delete it, and make a new one.",
        EXIT_USAGE,
    ),
    "key_file_unfit": Failure(
        "Nobody can be let in by the key file {file}: {detail}.",
        'Name the file "NAME.pub" that "python -m backend key NAME" has made on the other machine.',
        EXIT_USAGE,
    ),
    "key_exists": Failure(
        'There is a key "{name}" already: {file}.',
        "Use it, or choose another name.",
        EXIT_USAGE,
    ),
    "key_missing": Failure(
        'There is no key "{name}".',
        'Make it with "python -m backend key {name}".',
        EXIT_USAGE,
    ),
    "profile_missing": Failure(
        'There is no profile "{name}".',
        'Make it with "python -m backend profile {name} --endpoint tcp://HOST:PORT --server-key FILE".',
        EXIT_USAGE,
    ),
    "profile_unfit": Failure(
        "{detail}",
        'Make it anew with "python -m backend profile {name} --endpoint tcp://HOST:PORT --server-key FILE".',
        EXIT_USAGE,
    ),
    "said": Failure(  # what the backend has said
        "{detail}",
        "{step}",
    ),
    "usage": Failure(
        "{detail}",
        'See "python -m backend {command} --help".',
        EXIT_USAGE,
    ),
    "backend_lost": Failure(
        "{detail}",
        'The job is safe in its queue and goes on when a backend runs; "python -m backend results {job} --out FOLDER" '
        "then gets the clip.",
        EXIT_NO_BACKEND,
    ),
    "batch_lost": Failure(
        "{detail}",
        "What was submitted is safe in its queue: give the same command again to go on.",
        EXIT_NO_BACKEND,
    ),
    "batch_refused": Failure(
        "{count} of the {rows} rows of {file} cannot be used.",
        "Mend them; nothing was submitted.",
        EXIT_USAGE,
    ),
    "batch_unread": Failure(
        "The file {file} cannot be used: {detail}.",
        "Mend it; docs/COMMANDS.md says how it looks.",
        EXIT_USAGE,
    ),
    "rows_failed": Failure(
        "{count} of the {rows} rows have no clip.",
        "The sentences above say why; the same command tries those rows again.",
    ),
    "no_such_job": Failure(
        'No job begins with "{detail}".',
        'See the lists with "python -m backend queue" and "python -m backend results", and give at least four digits.',
        EXIT_USAGE,
    ),
    "ambiguous_job": Failure(
        'Several jobs begin with "{detail}".',
        "Give more digits.",
        EXIT_USAGE,
    ),
    "job_not_followed": Failure(
        "The end of the job {job} was not read yet.",
        "Wait for it first.",
        EXIT_INTERNAL,
    ),
    "no_picture": Failure(
        "{file} holds no PNG picture that can be used.",
        "Give PNG files of at most 64 MB.",
        EXIT_USAGE,
    ),
    "no_upload": Failure(
        "The backend does not take the picture.",
        "Try again in a moment.",
    ),
    "frames_missing": Failure(
        "{count} frames of the clip did not come.",
        "Try again, and make the clip again if they stay away.",
    ),
    "cancelled": Failure(
        "The job was cancelled.",
        "Nothing was kept.",
        EXIT_INTERRUPTED,
    ),
}


class BackendError(Exception):
    """Something failed in a way that the table knows. `details` fill the sentence."""

    def __init__(self, code: str, **details: object) -> None:
        self.code = code
        row = TABLE[code]
        details = {**row.defaults, **details}
        self.sentence = row.sentence.format_map(details)[:SENTENCE_LENGTH]
        self.next_step = row.next_step.format_map(details)[:SENTENCE_LENGTH]
        self.exit_code = row.exit_code
        super().__init__(f"{self.sentence} {self.next_step}")

    def as_event(self, job: str) -> Failed:
        """The same as a message about `job`."""
        return Failed(job=job, code=cast("FailureCode", self.code), message=self.sentence, next_step=self.next_step)


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The disk is full, or what the user may have of it."""


def cannot_write(folder: Path, error: OSError) -> BackendError:
    """What to say when writing into a folder that the user named failed."""
    if error.errno in FULL:
        return BackendError("disk_full")
    return BackendError("folder_unwritable", folder=folder, detail=error.strerror)


def cannot_keep(folder: Path, error: OSError) -> BackendError:
    """What to say when writing into the backend's own folder of results or uploads failed."""
    if error.errno in FULL:
        return BackendError("disk_full")
    return BackendError("results_unwritable", folder=folder, detail=error.strerror)
