"""Every message of the protocol: requests go from a client to the backend, events come back.

Messages are frozen. A unit stands beside each field that has one. Fields may be added in a minor version with a
default; unknown fields are ignored. Limits stand in the types and are checked while decoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

MAJOR = 1
MINOR = 0

JobId: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
"""Made by the client: the 32 hex digits of a UUID4, so that a job has its name before anyone has answered."""
NAME_LENGTH = 64
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH)]
Label: TypeAlias = Annotated[str, Meta(max_length=NAME_LENGTH)]
"""A name, or none."""
SENTENCE_LENGTH = 2000
"""Characters, which are code points here as in all limits."""
Sentence: TypeAlias = Annotated[str, Meta(max_length=SENTENCE_LENGTH)]
Prompt: TypeAlias = Annotated[str, Meta(max_length=2000)]
Frames: TypeAlias = Annotated[int, Meta(ge=1, le=1024)]
MOST_CLIP_FRAMES = 16_384
ClipFrames: TypeAlias = Annotated[int, Meta(ge=1, le=MOST_CLIP_FRAMES)]
"""Of a clip, conformed ones included."""
SidePx: TypeAlias = Annotated[int, Meta(ge=8, le=8192)]
RatePart: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
"""Numerator or denominator of a rate that a client asks for, frames a second."""
Numerator: TypeAlias = Annotated[int, Meta(ge=1, le=100_000_000)]
"""Of a rate that a style has: one such as 23.976 is written as a decimal number."""
FlowRate: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=10_000_000)]
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""Blender's integer properties are signed 32-bit numbers, so seeds are too."""
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]
Bytes: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
ClientId: TypeAlias = Annotated[str, Meta(pattern=r"\A([0-9a-f]{32})?\Z")]
"""Name of a client that outlives its connections: 32 hex digits that it keeps. Empty: it keeps none."""
Mark: TypeAlias = Annotated[str, Meta(pattern=r"\A([0-9a-f]{32})?\Z")]
"""Where a page of the list of jobs ends, or empty. A client gives it back as it is."""
Sha256: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
PATH_LENGTH = 4096
FolderPath: TypeAlias = Annotated[str, Meta(max_length=PATH_LENGTH)]
"""On the backend's machine; empty: there is none, or it is not for this client."""
Pid: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
"""Of a process, on any system; 0: of none."""
FILE_NAME_LENGTH = 200
FileName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=FILE_NAME_LENGTH)]
"""A name below a folder of the backend, never a path out of it."""
Number: TypeAlias = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Key: TypeAlias = Annotated[str, Meta(max_length=64)]
Setting: TypeAlias = (
    bool
    | Number
    | float
    | Annotated[str, Meta(max_length=200)]
    | Annotated[list[Number], Meta(max_length=200)]
    | Annotated[dict[Key, float | Annotated[str, Meta(max_length=64)]], Meta(max_length=8)]
    | None
)
"""A value of the sampler's plan; docs/STYLES.md lists the settings."""
MAX_UPLOAD_BYTES = 64 << 20
"""Largest picture that may be uploaded."""
MOST_LORAS = 256
"""LoRAs that are listed with a style."""
MOST_PRESETS = 64
"""Presets that a style may have."""
MOST_NOTES = 32
"""Notes or warnings in one message."""

Phase: TypeAlias = Literal[
    "waiting",
    "loading",
    "text",
    "encoding",
    "painting",
    "refining",
    "inverting",
    "decoding",
    "conforming",
    "writing",
]
"""What the backend does for a job right now."""
JobState: TypeAlias = Literal["queued", "loading", "running", "done", "failed", "cancelled"]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages. On the wire the field `type` holds the class name."""


class Asking(Message, frozen=True, kw_only=True):
    """Base of the requests."""

    request_id: Label = ""
    """The client's own name for this request, such as a count; its answers repeat it."""


class Answering(Message, frozen=True, kw_only=True):
    """Base of the events that may answer a request."""

    request_id: Label = ""
    """Of the request that this answers; empty: it came unasked, or the request has none."""


# Requests ---------------------------------------------------------------------------------------------------


class Hello(Asking, frozen=True, kw_only=True, tag=True):
    """First message of a client. The answer is `Welcome` or `Refused`; then, for a client that comes back under its
    `client_id`, what it has missed."""

    major: Count = MAJOR
    minor: Count = MINOR
    client: Name
    """What is asking, for the log: "Blender 5.0.1", "command line"."""
    client_id: ClientId = ""
    """Under which it was here before, or a new one. It belongs to the key that used it first."""
    live_frames: bool = True
    """Whether frames are sent as they are made; else only those that it fetches."""


class LoraChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA on top of the style's own; or one of those by its name in `Style.loras`, with another weight, 0 for none
    of it."""

    name: FileName
    """A file in the base's folder of LoRAs, or in `loras` of the configuration folder."""
    weight: Annotated[float, Meta(ge=-4, le=4)] = 1.0


class Generate(Asking, frozen=True, kw_only=True, tag=True):
    """Make one clip. The answer is `Accepted` or `Failed`; then come `Progress`, `Notice` and `Frame`; last one of
    `Done`, `Failed` or `Cancelled`."""

    job: JobId
    prompt: Prompt
    negative_prompt: Prompt = ""
    style: Name
    frames: Frames
    width: SidePx
    height: SidePx
    seed: Seed
    previews: bool = False
    """Whether `Progress` may carry a preview."""
    preset: Label = ""
    """Name of one of the style's presets; empty: the style's own."""
    settings: Annotated[dict[Key, Setting], Meta(max_length=32)] = {}
    """Settings of the sampler's plan that differ from the preset's."""
    loras: Annotated[tuple[LoraChoice, ...], Meta(max_length=16)] = ()
    footage: Annotated[tuple[Sha256, ...], Meta(max_length=1024)] = ()
    """Uploaded pictures to start from, one a frame, or none."""
    strength: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Of the noise on the footage: 0 keeps it, 1 ignores it."""
    anchor: Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")] = ""
    """An uploaded picture that is frame 0; empty: none."""
    flow_fps_numerator: FlowRate = 0
    """Frames a second that the result shall have: pictures along the optical flow are made between the clip's own.
    0: the result has `frames` frames at the style's rate."""
    flow_fps_denominator: RatePart = 1

    @property
    def flow_fps(self) -> Fraction | None:
        """The rate as one number; None: the style's."""
        return Fraction(self.flow_fps_numerator, self.flow_fps_denominator) if self.flow_fps_numerator else None


class Conform(Asking, frozen=True, kw_only=True, tag=True):
    """Make a clip of another frame rate from a finished one. Answer and events are those of `Generate`."""

    job: JobId
    source: JobId
    """A finished job of the same key."""
    fps_numerator: RatePart
    fps_denominator: RatePart = 1
    """The new rate, frames a second, such as 30000/1001."""
    method: Literal["hold", "flow"] = "hold"
    """Repeat the nearest earlier frame, or move pixels along the optical flow."""


class Cancel(Asking, frozen=True, kw_only=True, tag=True):
    """End a job of this client's key. The answer is how it ends, or has ended: `Cancelled`, or `Done` or `Failed` if
    that came first; `Denied` if there is no such job."""

    job: JobId


class Move(Asking, frozen=True, kw_only=True, tag=True):
    """Give a waiting job another place in the queue. The answer is `Jobs` or `Denied`."""

    job: JobId
    position: Count
    """How many waiting jobs shall come before it; 0: it comes next."""


class Pause(Asking, frozen=True, kw_only=True, tag=True):
    """Start no further job; what runs is finished. The answer is `Queue`, to every client."""


class Resume(Asking, frozen=True, kw_only=True, tag=True):
    """Go on after `Pause`, or after the queue has stopped by itself. The answer is `Queue`, to every client."""


class Free(Asking, frozen=True, kw_only=True, tag=True):
    """End the workers that have no job, which gives all of their memory back. The answer is `Status`."""


class AskJobs(Asking, frozen=True, kw_only=True, tag=True):
    """What waits and runs, and what has ended last? The answer is `Jobs`."""

    ended: Annotated[int, Meta(ge=0, le=500)] = 0
    """How many ended jobs to list, the last ones."""
    count: Annotated[int, Meta(ge=1, le=500)] = 50
    """How many waiting and ended jobs one answer may have."""
    after: Mark = ""
    """`Jobs.next` of the page before; empty: the first page, which alone has the running jobs."""


class Watch(Asking, frozen=True, kw_only=True, tag=True):
    """Hear of a job of this client's key, whoever submitted it. The answer is `Jobs` with that job, then its terminal
    event if it has ended; `Denied` if there is none."""

    job: JobId
    previews: bool = False


class Fetch(Asking, frozen=True, kw_only=True, tag=True):
    """Send frames of a finished job again. The answer is that many `Frame`, then `Fetched`; or `Denied`."""

    job: JobId
    first: Count = 0
    """Index of the first frame to send."""
    count: Annotated[int, Meta(ge=1, le=64)] = 16


class Received(Asking, frozen=True, kw_only=True, tag=True):
    """This client has all that it wants of an ended job: its terminal event is not delivered again, and its result may
    go when room is needed. No answer."""

    job: JobId


class Forget(Asking, frozen=True, kw_only=True, tag=True):
    """Delete the result of an ended job. The answer is `Jobs` or `Denied`."""

    job: JobId


class Offer(Asking, frozen=True, kw_only=True, tag=True):
    """Is this file there? The answer is `Have`, or `Denied` if it is too large."""

    sha256: Sha256
    size: Annotated[int, Meta(ge=1, le=MAX_UPLOAD_BYTES)]
    """Bytes."""


class Chunk(Asking, frozen=True, kw_only=True, tag=True):
    """A part of an offered file; one buffer follows. The answer is `Have`, or `Denied`."""

    sha256: Sha256
    offset: Bytes
    """Where the buffer belongs: the number of bytes that the backend has."""


class AskEstimate(Asking, frozen=True, kw_only=True, tag=True):
    """What would a clip take? Nothing is submitted. The answer is `Estimate`."""

    clip: Generate


class AskThumbnail(Asking, frozen=True, kw_only=True, tag=True):
    """Send the picture of a style. The answer is `Thumbnail`, or `Denied` if no style has it."""

    sha256: Sha256
    """As `Style.thumbnail` has it."""


class AskStatus(Asking, frozen=True, kw_only=True, tag=True):
    """What is the backend doing? The answer is `Status`."""


class Shutdown(Asking, frozen=True, kw_only=True, tag=True):
    """End the backend. The answer is `Goodbye`. Unfinished jobs wait for the next start."""


# Events -----------------------------------------------------------------------------------------------------


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether jobs are started."""

    paused: bool = False
    """A client has asked to pause."""
    stopped: Sentence = ""
    """Why the queue has stopped by itself, and what to do; empty while it has not."""
    waiting: Count = 0
    running: Count = 0


class LoraView(msgspec.Struct, frozen=True, kw_only=True):
    """One LoRA that can be named with a style."""

    name: FileName
    """For `LoraChoice.name`."""
    weight: float = 1.0
    """The style's own one's; else what a client proposes."""
    own: bool = False
    """Whether the style has it without being asked."""
    words: Annotated[str, Meta(max_length=200)] = ""
    """What its file says of the words that call it up; empty: nothing."""


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """One style, as panel and terminal show it. The defaults and limits are those of its base models."""

    name: Name
    title: Name
    description: Sentence
    base: Name
    """Styles of one base use the same models."""
    width: SidePx
    """Native width, the default, pixels."""
    height: SidePx
    """Native height, the default, pixels."""
    frames: Frames
    """Native length, the default, frames."""
    fps_numerator: Numerator
    fps_denominator: RatePart = 1
    """Frames a second of its clips, as `Done` says them."""
    size_step: SidePx
    """Width and height must be multiples of this, pixels."""
    min_size: SidePx
    max_size: SidePx
    max_frames: Frames
    example_prompt: Prompt
    """A prompt that the style's models know well."""
    presets: Annotated[tuple[Name, ...], Meta(max_length=MOST_PRESETS)] = ()
    """Names for `Generate.preset`."""
    preset: Label = ""
    """The style's own."""
    calls: Annotated[tuple[Count, ...], Meta(max_length=MOST_PRESETS)] = ()
    """How many network calls a clip takes with each of the presets."""
    loras: Annotated[tuple[LoraView, ...], Meta(max_length=MOST_LORAS)] = ()
    """Its own ones, and others that can be put on top."""
    thumbnail: Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")] = ""
    """SHA-256 of a small PNG that shows what it looks like, for `AskThumbnail`; empty: there is none."""

    @property
    def fps(self) -> Fraction:
        """The rate as one number."""
        return Fraction(self.fps_numerator, self.fps_denominator)


class Welcome(Answering, frozen=True, kw_only=True, tag=True):
    """The backend speaks our version and tells what it offers."""

    major: Count
    minor: Count
    backend: Name
    """Version of the backend."""
    session: Name
    """Differs for every start of the backend."""
    device: Name
    """Where sampling happens: "cpu", "cuda" (AMD's GPUs, too), "xpu", "mps", "none" for the fake generator."""
    styles: tuple[Style, ...]
    notes: Annotated[tuple[Sentence, ...], Meta(max_length=MOST_NOTES)] = ()
    """Sentences about the backend's own files that the user should see, such as a style file that was skipped."""
    client_id: ClientId = ""
    """Under which this client can come back: the one that it gave, or a new one."""
    queue: QueueState = QueueState()


class Styles(Message, frozen=True, kw_only=True, tag=True):
    """The files of styles have changed: the lists of `Welcome` as they are now. Sent to every client."""

    styles: tuple[Style, ...]
    notes: Annotated[tuple[Sentence, ...], Meta(max_length=MOST_NOTES)] = ()


class Refused(Answering, frozen=True, kw_only=True, tag=True):
    """The backend does not talk to this client. The client gives up and shows the sentence."""

    code: Literal["version", "malformed", "not_authorized", "too_much"]
    message: Sentence


class Accepted(Answering, frozen=True, kw_only=True, tag=True):
    """The job is in the queue."""

    job: JobId
    position: Count
    """Jobs that come before it, running ones included."""
    seconds_left: Seconds | None = None
    """Until it is finished, from earlier clips; None while unknown."""
    warnings: Annotated[tuple[Sentence, ...], Meta(max_length=MOST_NOTES)] = ()
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
    position: Count = 0
    """While waiting: jobs that come before it, running ones included."""
    bytes_done: Bytes = 0
    bytes_total: Bytes = 0
    """While loading: bytes of weights read, and in all; 0 while unknown."""


class Notice(Message, frozen=True, kw_only=True, tag=True):
    """Something about a job that goes on: it is tried again, or with less memory. After a try anew its steps and
    frames begin from 0."""

    job: JobId
    message: Sentence
    again: bool = False
    """Whether the job begins anew."""


class Frame(Answering, frozen=True, kw_only=True, tag=True):
    """One finished frame. One buffer follows: an 8-bit sRGB PNG."""

    job: JobId
    index: Count
    """0 … frames − 1, in order."""
    frames: ClipFrames


class Done(Answering, frozen=True, kw_only=True, tag=True):
    """The job is finished: its result lies in the backend's folder, whole and safe. Clients that were there from the
    start and want frames live were sent every one; others fetch them."""

    job: JobId
    frames: ClipFrames
    width: SidePx
    height: SidePx
    fps_numerator: Numerator
    fps_denominator: RatePart = 1
    """Frames a second at which the clip is meant to be seen, such as 30000/1001."""
    seed: Seed
    seconds: Seconds
    """From the start of the work to its end."""
    folder: FolderPath = ""
    """Where the result lies, on the backend's machine."""

    @property
    def fps(self) -> Fraction:
        """The rate as one number."""
        return Fraction(self.fps_numerator, self.fps_denominator)


FailureCode: TypeAlias = Literal[
    "bad_request",
    "unknown_style",
    "size_out_of_range",
    "frames_out_of_range",
    "empty_prompt",
    "duplicate_job",
    "lora_missing",
    "footage_missing",
    "source_missing",
    "queue_full",
    "results_full",
    "model_missing",
    "model_broken",
    "model_unfit",
    "out_of_memory",
    "disk_full",
    "results_unwritable",
    "queue_unusable",
    "worker_died",
    "worker_hung",
    "environment_broken",
    "other_version",
    "shutting_down",
    "internal",
]
DenialCode: TypeAlias = Literal[
    "unknown_job",
    "job_not_waiting",
    "job_not_ended",
    "no_result",
    "upload_refused",
    "unknown_thumbnail",
    "not_allowed",
    "disk_full",
    "results_unwritable",
    "queue_unusable",
]


class Failed(Answering, frozen=True, kw_only=True, tag=True):
    """The job ended without a clip."""

    job: JobId
    code: FailureCode
    message: Sentence
    """What happened, one sentence."""
    next_step: Sentence
    """What to do now, one sentence."""


class Cancelled(Answering, frozen=True, kw_only=True, tag=True):
    """The job ended because its client asked for it."""

    job: JobId


class Denied(Answering, frozen=True, kw_only=True, tag=True):
    """A request that is no `Generate` or `Conform` was not followed. No job has ended by it."""

    request: Name
    """Its type."""
    job: Label = ""
    """The job or file that it named, or empty."""
    code: DenialCode
    message: Sentence
    next_step: Sentence


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """One job, as queues show it. Prompts are shown to the job's own key alone."""

    job: JobId
    state: JobState
    mine: bool
    """Whether it was submitted under this client's id."""
    kind: Literal["clip", "conform"] = "clip"
    prompt: Prompt = ""
    """Its beginning, if it is long."""
    style: Label = ""
    frames: ClipFrames
    """As its request has it."""
    width: SidePx
    height: SidePx
    flow_fps_numerator: FlowRate = 0
    """As its request has it, frames a second; 0: none."""
    flow_fps_denominator: RatePart = 1
    seed: Seed = 0
    position: Count = 0
    """Waiting jobs that come before it, as `Move` counts them; 0 for the next one and for those that do not wait."""
    phase: Phase = "waiting"
    step: Count = 0
    steps: Count = 0
    seconds_left: Seconds | None = None
    """Until it is finished; None while unknown, and for ended jobs."""
    submitted: float = 0.0
    """When, seconds since 1970 in UTC."""
    has_result: bool = False
    bytes: Bytes = 0
    """Size of the result."""
    received: bool = False
    """Whether its client has taken all that it wants."""
    folder: FolderPath = ""
    """Where the result lies, on the backend's machine."""
    message: Sentence = ""
    """Why it failed."""


class Jobs(Answering, frozen=True, kw_only=True, tag=True):
    """Running jobs, waiting ones in their order, then ended ones, the last first; those of this client's key, and how
    many others there are."""

    queue: QueueState
    jobs: tuple[JobView, ...]
    others: Count = 0
    """Unfinished jobs of other keys."""
    elsewhere: Count = 0
    """Unfinished jobs of this key under other client ids."""
    left_out: Count = 0
    """Jobs of this key that come after these."""
    after: Mark = ""
    """As in the `AskJobs` that this answers."""
    next: Mark = ""
    """`AskJobs.after` for the page that has them; empty: there are none."""


class Queue(Answering, frozen=True, kw_only=True, tag=True):
    """Whether jobs are started has changed. Sent to every client."""

    queue: QueueState


class Fetched(Answering, frozen=True, kw_only=True, tag=True):
    """All frames that a `Fetch` asked for were sent."""

    job: JobId
    first: Count
    count: Count
    """How many were sent."""


class Have(Answering, frozen=True, kw_only=True, tag=True):
    """How much of a file is there; all of it, if that is its size."""

    sha256: Sha256
    offset: Bytes


class Thumbnail(Answering, frozen=True, kw_only=True, tag=True):
    """The picture of a style, in one buffer: a PNG."""

    sha256: Sha256


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """One worker, which samples on one device."""

    device: Name
    state: Literal["off", "resting", "working"] = "off"
    """Whether its process runs, and has a job."""
    pid: Pid = 0
    """Process id; 0 when it does not run, and for clients of other keys than `local`."""
    job: Annotated[str, Meta(max_length=32)] = ""
    """The job that it has, if it is one of this client's key; or empty."""


class Estimate(Answering, frozen=True, kw_only=True, tag=True):
    """What a clip would take, as far as that is known; or why it cannot be made."""

    job: JobId
    """Of the clip that was asked about."""
    calls: Count = 0
    """Of networks."""
    seconds: Seconds | None = None
    """Of sampling once the models are loaded, from earlier clips of these models; None: none was made yet."""
    memory: Bytes = 0
    """On the device, or with all else of the process where that is a processor; 0: not known."""
    more: bool = False
    """Whether another follows, when the memory is known."""
    problem: Sentence = ""
    """Why the clip cannot be made; empty: it can."""
    next_step: Sentence = ""


class Status(Answering, frozen=True, kw_only=True, tag=True):
    """What the backend does now."""

    loads: Count
    """How many times models were read from disk since the start."""
    clients: Count
    """Of this client's key, or for `local` all; one that has gone is counted up to two seconds longer."""
    notes: Annotated[tuple[Sentence, ...], Meta(max_length=MOST_NOTES)] = ()
    """As in `Welcome`."""
    workers: tuple[WorkerView, ...] = ()
    queue: QueueState = QueueState()
    data_folder: FolderPath = ""
    """Where queue and results lie, on the backend's machine."""


class Alive(Message, frozen=True, kw_only=True, tag=True):
    """The backend's loop goes round. Comes every two seconds; the client keeps it to itself and misses it when the
    backend is stuck, which ZeroMQ's own heartbeat cannot show."""


class Goodbye(Answering, frozen=True, kw_only=True, tag=True):
    """The backend ends now."""


Request: TypeAlias = (
    Hello
    | Generate
    | Conform
    | Cancel
    | Move
    | Pause
    | Resume
    | Free
    | AskJobs
    | Watch
    | Fetch
    | Received
    | Forget
    | Offer
    | Chunk
    | AskEstimate
    | AskThumbnail
    | AskStatus
    | Shutdown
)
Event: TypeAlias = (
    Welcome
    | Styles
    | Refused
    | Accepted
    | Progress
    | Notice
    | Frame
    | Done
    | Failed
    | Cancelled
    | Denied
    | Jobs
    | Queue
    | Fetched
    | Have
    | Estimate
    | Thumbnail
    | Status
    | Alive
    | Goodbye
)
Terminal: TypeAlias = Done | Failed | Cancelled
"""Each accepted job ends with exactly one of these."""

ANSWERS: Mapping[type[Asking], frozenset[type[Answering]]] = MappingProxyType(
    {
        Hello: frozenset({Welcome, Refused}),
        Generate: frozenset({Accepted, Failed}),
        Conform: frozenset({Accepted, Failed}),
        Cancel: frozenset({Cancelled, Done, Failed, Denied}),
        Move: frozenset({Jobs, Denied}),
        Pause: frozenset({Queue, Denied}),
        Resume: frozenset({Queue, Denied}),
        Free: frozenset({Status, Denied}),
        AskJobs: frozenset({Jobs, Denied}),
        Watch: frozenset({Jobs, Done, Failed, Cancelled, Denied}),
        Fetch: frozenset({Frame, Fetched, Denied}),
        Received: frozenset({Denied}),
        Forget: frozenset({Jobs, Denied}),
        Offer: frozenset({Have, Denied}),
        Chunk: frozenset({Have, Denied}),
        AskEstimate: frozenset({Estimate, Denied}),
        AskThumbnail: frozenset({Thumbnail, Denied}),
        AskStatus: frozenset({Status, Denied}),
        Shutdown: frozenset({Goodbye, Denied}),
    }
)
"""What answers each request, beside `Refused`, which ends the conversation."""
