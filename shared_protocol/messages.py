"""Every message of the protocol: requests go from a client to the backend, events come back.

Messages are frozen. A unit stands beside each field that has one. Fields may be added in a minor version with a
default; unknown fields are ignored. Limits stand in the types and are checked while decoding.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

MAJOR = 1
MINOR = 0

JobId: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
"""Made by the client: the 32 hex digits of a UUID4, so that a job has its name before anyone has answered."""
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Sentence: TypeAlias = Annotated[str, Meta(max_length=2000)]
Prompt: TypeAlias = Annotated[str, Meta(max_length=2000)]
Frames: TypeAlias = Annotated[int, Meta(ge=1, le=1024)]
Pixels: TypeAlias = Annotated[int, Meta(ge=8, le=8192)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=10_000_000)]
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""Blender's integer properties are signed 32-bit numbers, so seeds are too."""
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]

Phase: TypeAlias = Literal["waiting", "loading", "text", "painting", "refining", "inverting", "decoding"]
"""What the backend does for a job right now."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages. On the wire the field `type` holds the class name."""


# Requests ---------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, kw_only=True, tag=True):
    """First message of a client. The answer is `Welcome` or `Refused`."""

    major: Count = MAJOR
    minor: Count = MINOR
    client: Name
    """What is asking, for the log: "Blender 5.0.1", "command line"."""


class Generate(Message, frozen=True, kw_only=True, tag=True):
    """Make one clip. The answer is `Accepted` or `Failed`; then come `Progress` and `Frame`; last one of
    `Done`, `Failed` or `Cancelled`."""

    job: JobId
    prompt: Prompt
    negative_prompt: Prompt = ""
    style: Name
    frames: Frames
    width: Pixels
    height: Pixels
    seed: Seed
    previews: bool = False
    """Whether `Progress` may carry a preview."""


class Cancel(Message, frozen=True, kw_only=True, tag=True):
    """End a job of this client. The answer is `Cancelled`, or the job's other end if that came first."""

    job: JobId


class AskStatus(Message, frozen=True, kw_only=True, tag=True):
    """What is the backend doing? The answer is `Status`."""


class Shutdown(Message, frozen=True, kw_only=True, tag=True):
    """End the backend: unfinished jobs are cancelled first. The answer is `Goodbye`."""


# Events -----------------------------------------------------------------------------------------------------


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """One style, as panel and terminal show it. The defaults and limits are those of its base models."""

    name: Name
    title: Name
    description: Sentence
    width: Pixels
    """Native width, the default, pixels."""
    height: Pixels
    """Native height, the default, pixels."""
    frames: Frames
    """Native length, the default, frames."""
    size_step: Pixels
    """Width and height must be multiples of this, pixels."""
    min_size: Pixels
    max_size: Pixels
    max_frames: Frames
    example_prompt: Prompt
    """A prompt that the style's models know well."""


class Welcome(Message, frozen=True, kw_only=True, tag=True):
    """The backend speaks our version and tells what it offers."""

    major: Count
    minor: Count
    backend: Name
    """Version of the backend."""
    session: Name
    """Differs for every start of the backend."""
    device: Name
    """Where sampling happens: "cpu", "cuda", "none" for the fake generator."""
    styles: tuple[Style, ...]
    notes: tuple[Sentence, ...] = ()
    """Sentences about the backend's own files that the user should see, such as a style file that was skipped."""


class Refused(Message, frozen=True, kw_only=True, tag=True):
    """The backend does not talk to this client. The client gives up and shows the sentence."""

    code: Literal["version", "malformed"]
    message: Sentence


class Accepted(Message, frozen=True, kw_only=True, tag=True):
    """The job is in the queue."""

    job: JobId
    position: Count
    """Jobs that come before it."""
    warnings: tuple[Sentence, ...] = ()
    """Sentences that the user should see and that stop nothing, such as words that the models do not know."""


class Progress(Message, frozen=True, kw_only=True, tag=True):
    """A job goes on. One buffer follows if `preview_frames` is not 0."""

    job: JobId
    phase: Phase
    step: Count
    """Units of work done."""
    steps: Count
    """Units of work in all; 0 while unknown."""
    seconds_left: Seconds | None = None
    preview_frames: Count = 0
    """The buffer is one PNG with this many frames of the clip side by side, coarse."""


class Frame(Message, frozen=True, kw_only=True, tag=True):
    """One finished frame. One buffer follows: an 8-bit sRGB PNG."""

    job: JobId
    index: Count
    """0 … frames − 1, in order."""
    frames: Frames


class Done(Message, frozen=True, kw_only=True, tag=True):
    """The job is finished and every frame was sent."""

    job: JobId
    frames: Frames
    width: Pixels
    height: Pixels
    fps: Annotated[float, Meta(gt=0, le=1000)]
    """Frames per second at which the clip was meant to be seen."""
    seed: Seed
    seconds: Seconds
    """From the start of the work to its end."""


FailureCode: TypeAlias = Literal[
    "bad_request",
    "unknown_style",
    "size_out_of_range",
    "frames_out_of_range",
    "empty_prompt",
    "duplicate_job",
    "model_missing",
    "model_unfit",
    "out_of_memory",
    "disk_full",
    "worker_died",
    "shutting_down",
    "internal",
]


class Failed(Message, frozen=True, kw_only=True, tag=True):
    """The job ended without a clip."""

    job: JobId
    code: FailureCode
    message: Sentence
    """What happened, one sentence."""
    next_step: Sentence
    """What to do now, one sentence."""


class Cancelled(Message, frozen=True, kw_only=True, tag=True):
    """The job ended because its client asked for it."""

    job: JobId


class Status(Message, frozen=True, kw_only=True, tag=True):
    """What the backend does now."""

    running: JobId | None
    waiting: Count
    worker_pid: Count
    """Process id of the worker; 0 when none runs."""
    loads: Count
    """How many times models were read from disk since the start."""
    clients: Count
    notes: tuple[Sentence, ...] = ()
    """As in `Welcome`."""


class Alive(Message, frozen=True, kw_only=True, tag=True):
    """The backend's loop goes round. Comes every two seconds; the client keeps it to itself and misses it when the
    backend is stuck, which ZeroMQ's own heartbeat cannot show."""


class Goodbye(Message, frozen=True, kw_only=True, tag=True):
    """The backend ends now."""


Request: TypeAlias = Hello | Generate | Cancel | AskStatus | Shutdown
Event: TypeAlias = (
    Welcome | Refused | Accepted | Progress | Frame | Done | Failed | Cancelled | Status | Alive | Goodbye
)
Terminal: TypeAlias = Done | Failed | Cancelled
"""Each accepted job ends with exactly one of these."""
