"""How things fail: a sentence, a next step, an exit code; and the rows of all that goes over the wire.

What fails elsewhere has its rows there: `server.failures`, `client.failures`, `cli.failures`.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from shared_protocol.machine.launcher import launcher, mending
from shared_protocol.messages import DenialCode, Denied, Failed, FailureCode, Message
from shared_protocol.texts import sentence

EXIT_DONE = 0
EXIT_TO_CHANGE = 1
EXIT_USAGE = 2  # argparse ends with this by itself
EXIT_NO_BACKEND = 3
EXIT_JOB_FAILED = 4
EXIT_CANNOT_WRITE = 5
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141  # elevator.arguments.until_unread ends with this

StorageCode: TypeAlias = Literal["disk_full", "results_unwritable", "queue_unusable"]
"""Why nothing can be kept, whether it is a job's end or another request's."""


@dataclass(frozen=True)
class Wording:
    """One way to fail. `{…}` in the texts is filled in by whoever fails; `{launcher}` is how our commands are typed,
    `{mending}` mends the installation."""

    sentence: str
    next_step: str
    exit_code: int = EXIT_JOB_FAILED
    defaults: Mapping[str, str] = field(default_factory=dict)
    """What is filled in where nobody says it."""

    def filled(self, details: Mapping[str, object]) -> tuple[str, str, int]:
        """Sentence, next step and exit code."""
        words = {"launcher": launcher(), "mending": mending(), **self.defaults, **details}
        return (
            sentence(self.sentence.format_map(words)),
            sentence(self.next_step.format_map(words)),
            self.exit_code,
        )


OPEN_DISK = Wording(
    "The disk of {folder} keeps nothing to its owner, as exFAT does, and Windows' disks do under WSL; so keys cannot "
    "lie there.",
    "Name a folder on another disk in the variable ELEVATOR_HOME.",
    EXIT_TO_CHANGE,
)
"""For whoever finds it first: a backend, or who starts one."""

WIRE: dict[FailureCode | DenialCode, Wording] = {
    "unknown_job": Wording(
        "There is no such job.",
        'See the list with "{launcher} queue".',
        EXIT_TO_CHANGE,
    ),
    "job_not_waiting": Wording(
        "The job does not wait any more.",
        "Nothing needs to be done; cancel it if it shall not go on.",
        EXIT_TO_CHANGE,
    ),
    "job_not_ended": Wording(
        "The job has not ended yet.",
        "Wait for its end, or cancel it.",
        EXIT_TO_CHANGE,
    ),
    "no_result": Wording(
        "The job has no result, or no such frame, any more.",
        "Submit it again with the same seed.",
        EXIT_TO_CHANGE,
    ),
    "unknown_thumbnail": Wording(
        "No style has this picture.",
        "Ask for one that the list of styles names.",
        EXIT_TO_CHANGE,
    ),
    "not_allowed": Wording(
        "Only the user of the backend's own machine may do this.",
        "Ask that user.",
        EXIT_TO_CHANGE,
    ),
    "bad_request": Wording(
        "The request cannot be used: {detail}.",
        "Change that setting and try again.",
        EXIT_TO_CHANGE,
    ),
    "empty_prompt": Wording(
        "The prompt is empty.",
        'Say what should be seen, such as "{example}".',
        EXIT_TO_CHANGE,
    ),
    "unknown_style": Wording(
        'There is no style "{style}"{why}.',
        "{mend} one of these: {styles}.",
        EXIT_TO_CHANGE,
        defaults={"why": "", "mend": "Choose"},
    ),
    "size_out_of_range": Wording(
        "A size of {width} × {height} pixels is not possible with this style.",
        "Choose width and height between {least} and {most} pixels, in steps of {step}.",
        EXIT_TO_CHANGE,
    ),
    "frames_out_of_range": Wording(
        "A clip of {frames} frames is not possible with this style.",
        "Choose between 1 and {most} frames.",
        EXIT_TO_CHANGE,
    ),
    "duplicate_job": Wording(
        "A job of this name exists already.",
        "Submit the request again under a new name; the first job goes on.",
        EXIT_TO_CHANGE,
    ),
    "lora_missing": Wording(
        'The LoRA "{name}" cannot be used: {detail}.',
        "Put the file into the folder of LoRAs of the base, or into loras of the settings folder, and name it.",
        EXIT_TO_CHANGE,
    ),
    "queue_full": Wording(
        "The queue holds {most} jobs and takes no more.",
        "Wait until some are done, or cancel some.",
    ),
    "results_full": Wording(
        "Finished clips of this key that nobody has fetched take {taken} GB here, and {most} GB at most are kept.",
        'Fetch or delete some: see "{launcher} results".',
        EXIT_TO_CHANGE,
    ),
    "model_missing": Wording(
        "The model {folder} is missing.",
        "Put it back, or choose another style.",
    ),
    "model_broken": Wording(
        "A model of this style is damaged: {detail}.",
        "{step}",
        EXIT_TO_CHANGE,
        defaults={"step": "Download or copy it again."},
    ),
    "model_unfit": Wording(
        "The models of this style cannot do this: {detail}.",
        "{step}",
        defaults={"step": "Choose another style or mend its file."},
    ),
    "out_of_memory": Wording(
        "The memory of the device was not enough: {detail}.",
        "Choose fewer frames or a smaller size, or close other programs.",
        defaults={"detail": "the clip is too large for it"},
    ),
    "footage_missing": Wording(
        "A picture to start from cannot be used: {detail}.",
        "Send it again, or choose another one.",
    ),
    "disk_full": Wording(
        "The disk is full.",
        "Free some space there and try again.",
        EXIT_CANNOT_WRITE,
    ),
    "results_unwritable": Wording(
        "The folder of results {folder} cannot be written: {detail}.",
        "Give its owner the right to write there, or choose another data folder.",
        EXIT_CANNOT_WRITE,
    ),
    "queue_unusable": Wording(
        "The queue's file {file} cannot be used: {detail}.",
        "Try again in a moment; if it stays, look at that file and its disk.",
        EXIT_CANNOT_WRITE,
    ),
    "source_missing": Wording(
        "The clip to be resampled is missing: {detail}.",
        "Choose a finished clip that is still there, or make it again.",
    ),
    "upload_refused": Wording(
        "The picture was not taken: {detail}.",
        "{step}.",
        EXIT_TO_CHANGE,
    ),
    "worker_died": Wording(
        "The process that makes the pictures ended without a word, perhaps for lack of memory.",
        "Try again with fewer frames or a smaller size; the log says more: {log}.",
    ),
    "worker_hung": Wording(
        "The process that makes the pictures was stuck twice and was ended.",
        "Try again with fewer frames or a smaller size; the log says more: {log}.",
    ),
    "environment_broken": Wording(
        "The backend's environment is broken: {detail}.",
        'Mend it with "{mending}" and try again; "{launcher} doctor" says what is wrong.',
    ),
    "other_version": Wording(
        "The job was left by another version of the backend, whose settings this one does not know.",
        "Submit it again.",
    ),
    "shutting_down": Wording(
        "The backend is ending.",
        "Try again in a moment.",
        EXIT_NO_BACKEND,
    ),
    "internal": Wording(
        "Something went wrong that should not: {detail}.",
        "Try again, and report it with the log {log} if it stays.",
        EXIT_INTERNAL,
    ),
}


class BackendError(Exception):
    """Something failed in a way that was foreseen. Each room has its own kinds, with a code of a row."""

    code: str

    def __init__(self, sentence: str, next_step: str, exit_code: int) -> None:
        self.sentence = sentence
        self.next_step = next_step
        self.exit_code = exit_code
        super().__init__(f"{sentence} {next_step}")


class Failure(BackendError):
    """A job ends by it, or never becomes one. `details` fill the sentence."""

    def __init__(self, code: FailureCode, **details: object) -> None:
        super().__init__(*WIRE[code].filled(details))
        self.code: FailureCode = code

    def as_event(self, job: str) -> Failed:
        """The same as a message about `job`."""
        return Failed(job=job, code=self.code, message=self.sentence, next_step=self.next_step)


class Denial(BackendError):
    """A request that asks for no job is not followed. `details` fill the sentence."""

    def __init__(self, code: DenialCode, **details: object) -> None:
        super().__init__(*WIRE[code].filled(details))
        self.code: DenialCode = code

    def as_answer(self, request: Message, about: str) -> Denied:
        """The same as a message about a request, and the job or picture that it names."""
        return Denied(
            request=type(request).__name__,
            job=about,
            code=self.code,
            message=self.sentence,
            next_step=self.next_step,
        )


class StorageFailure(Failure, Denial):
    """Nothing can be kept: any request may fail by it. `details` fill the sentence."""

    def __init__(self, code: StorageCode, **details: object) -> None:
        BackendError.__init__(self, *WIRE[code].filled(details))
        self.code: StorageCode = code


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The disk is full, or what the user may have of it."""


def cannot_keep(folder: Path, error: OSError) -> StorageFailure:
    """What to say when writing into the backend's own folder of results or uploads failed."""
    if error.errno in FULL:
        return StorageFailure("disk_full")
    return StorageFailure("results_unwritable", folder=folder, detail=error.strerror)
