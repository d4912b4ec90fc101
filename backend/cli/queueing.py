"""Commands about the queue and its results."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import msgspec

from elevator.arguments import though_unread
from shared_protocol.messages import Cancelled, Jobs, JobView
from shared_protocol.texts import duration

from ..client.api import LISTED, Backend
from ..client.saving import prepare
from ..failures import EXIT_DONE, BackendError
from .failures import CommandFailure
from .following import Watcher, cancelling, connected, lost, saved, state_of, warn_of_queue
from .output import Output, shortened, size_text
from .terminal import ProgressLine

DIGITS = 8
"""How many digits of a job's name are shown."""
QUEUE_HEAD = ("place", "state", "progress", "left", "style", "prompt", "job")
RESULTS_HEAD = ("job", "submitted", "state", "frames", "size", "bytes", "taken", "prompt")


def queue(options: argparse.Namespace) -> int:
    """Show or change the order of jobs."""
    output = Output(json=options.json)
    with connected(options, start=True) as backend:
        if options.front is not None:
            backend.move(backend.find(options.front).job, 0)
        elif options.move is not None:
            job, place = options.move
            backend.move(backend.find(job).job, _place(place) - 1)
        jobs = backend.jobs()
    _show_queue(jobs, output)
    return EXIT_DONE


def results(options: argparse.Namespace) -> int:
    """List ended jobs, fetch a clip, or delete one."""
    output = Output(json=options.json)
    with connected(options, start=True) as backend:
        if options.forget is not None:
            backend.forget(backend.find(options.forget).job)
            output.say("The result is deleted.")
        elif options.out is not None:
            _fetch(backend, options, output)
        elif options.job is not None:
            _show_results([backend.find(options.job)], output)
        else:
            views = [view for view in backend.jobs(LISTED).jobs if view.state in ("done", "failed", "cancelled")]
            _show_results(views, output)
    return EXIT_DONE


def cancel(options: argparse.Namespace) -> int:
    """End jobs."""
    output = Output(json=options.json)
    with connected(options, start=True) as backend:
        for start in options.jobs:
            end = backend.cancel(backend.find(start).job)
            output.line(end)
            gone = isinstance(end, Cancelled)
            output.say(f"Job {end.job[:DIGITS]} {'is cancelled' if gone else 'had ended already'}.")
    return EXIT_DONE


def conform(options: argparse.Namespace) -> int:
    """Make a clip of another frame rate from a finished one."""
    output = Output(json=options.json)
    if options.detach == (options.out is not None):
        raise CommandFailure("usage", detail="Give one of --out and --detach.", command="conform")
    if not options.detach:
        prepare(options.out, overwrite=options.overwrite)
    with connected(options, start=True) as backend:
        warn_of_queue(backend)
        job = backend.conform(backend.find(options.job).job, options.fps, options.method)
        if options.detach:
            assert job.accepted is not None
            output.say(job.id)
            output.line(job.accepted)
            return EXIT_DONE
        try:
            with ProgressLine(quiet=options.quiet or options.json) as line, cancelling(backend, [job]):
                Watcher(line, output, quiet=options.quiet).follow(job)
            paths = job.fetch(options.out, overwrite=options.overwrite)
        except BackendError as error:
            raise lost(error, job) from error
    though_unread(lambda: saved(output, job, paths))
    return EXIT_DONE


def _fetch(backend: Backend, options: argparse.Namespace, output: Output) -> None:
    """Write a job's frames, when it has ended."""
    if options.job is None:
        raise CommandFailure("usage", detail="Say which job's frames to write.", command="results")
    prepare(options.out, overwrite=options.overwrite)
    view = backend.find(options.job)
    if view.state == "queued":
        warn_of_queue(backend)
    job = backend.job(view.job)
    with ProgressLine(quiet=options.quiet or options.json) as line:  # stopping to look leaves the job alone
        Watcher(line, output, quiet=options.quiet).follow(job)
    paths = job.fetch(options.out, overwrite=options.overwrite)
    though_unread(lambda: saved(output, job, paths))


def _place(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000_000:
        raise CommandFailure("usage", detail=f'"{text}" is no place: 1 comes next.', command="queue")
    return int(text)


def _show_queue(jobs: Jobs, output: Output) -> None:
    output.object({"type": "Queue", "queue": msgspec.to_builtins(jobs.queue), "others": jobs.others})
    for view in jobs.jobs:
        _line(view, output)
    if (said := state_of(jobs.queue)) is not None:
        output.say(said)
    if jobs.jobs:
        output.table(QUEUE_HEAD, [_queue_cells(view) for view in jobs.jobs])
    elif not jobs.others:
        output.say("Nothing waits or runs.")
    if jobs.others:
        output.say(f"{jobs.others} jobs of other users.")


def _queue_cells(view: JobView) -> tuple[str, ...]:
    waits = view.state == "queued"
    return (
        str(view.position + 1) if waits else "",
        view.state if waits or view.state == "loading" else view.phase,
        f"{100 * view.step // view.steps} %" if view.steps else "",
        "" if view.seconds_left is None else duration(view.seconds_left),
        view.style or view.kind,
        shortened(view.prompt),
        view.job[:DIGITS],
    )


def _show_results(views: Sequence[JobView], output: Output) -> None:
    for view in views:
        _line(view, output)
    if not views:
        output.say("No job has ended yet.")
        return
    output.table(RESULTS_HEAD, [_result_cells(view) for view in views])
    for view in views:
        if view.folder or view.message:
            output.say(f"{view.job[:DIGITS]}  {view.folder or view.message}")


def _result_cells(view: JobView) -> tuple[str, ...]:
    return (
        view.job[:DIGITS],
        time.strftime("%Y-%m-%d %H:%M", time.localtime(view.submitted)),
        view.state,
        str(view.frames),
        f"{view.width} × {view.height}",
        size_text(view.bytes) if view.has_result else "",
        "yes" if view.received else "",
        shortened(view.prompt),
    )


def _line(view: JobView, output: Output) -> None:
    output.object({"type": "Job", **msgspec.to_builtins(view)})
