"""`generate`: one clip, or the rows of a file."""

from __future__ import annotations

import argparse
import random

from elevator.arguments import nearest, though_unread
from elevator.cli import values
from elevator.cli.shared import default_folder
from elevator.pictures.clip_folder import is_film
from shared_protocol.messages import Style

from ..client.api import Backend, Job, Wish
from ..client.saving import check_space, prepare
from ..client.wish import MAX_SEED
from ..failures import EXIT_DONE, BackendError
from . import batch
from .failures import CommandFailure
from .following import Watcher, cancelling, connected_to_make, lost, saved
from .output import Output
from .terminal import ProgressLine


def generate(options: argparse.Namespace) -> int:
    """Make clips and write their frames. Raises BackendError."""
    _check_usage(options)
    wanted = _wish(options)
    if options.out is None:
        single = options.source is None
        options.out = default_folder(wanted.prompt, wanted.seed) if single else default_folder(options.source.stem)
    if options.source is not None:
        return batch.generate(options, wanted)
    output = Output(json=options.json)
    if options.dry_run:
        from .dry_run import foresee_one

        return foresee_one(wanted, options.fps, output)
    if not options.detach:
        prepare(options.out, overwrite=options.overwrite)
    with connected_to_make(options) as backend:
        if not options.detach:
            _check_space(options, wanted, backend.styles.get(wanted.style))
        job = _submitted(backend, wanted)
        if options.detach:
            return _detach(job, output)
        try:
            with ProgressLine(quiet=options.quiet or options.json) as line:
                last = _made(backend, job, options, Watcher(line, output, quiet=options.quiet))
            paths = last.fetch(options.out, overwrite=options.overwrite)
        except BackendError as error:
            raise lost(error, job) from error
    though_unread(lambda: saved(output, last, paths))
    return EXIT_DONE


def _submitted(backend: Backend, wanted: Wish) -> Job:
    try:
        return backend.submit(wanted)
    except BackendError as error:
        if error.code == "unknown_style" and (near := nearest(wanted.style, backend.styles)):
            raise Unknown(error, near) from error
        raise


class Unknown(BackendError):
    """A style that is not there, with the one that may have been meant."""

    def __init__(self, error: BackendError, near: str) -> None:
        super().__init__(error.sentence, f'Did you mean "{near}"? {error.next_step}', error.exit_code)
        self.code = error.code


def _check_usage(options: argparse.Namespace) -> None:
    """What argparse cannot say. Raises BackendError."""
    wrong = None
    if (options.prompt is None) == (options.source is None):
        wrong = "Give either a prompt or a file with --from."
    elif options.detach and options.fps is not None and options.source is None:
        wrong = "With --detach there is nobody to change the frame rate: leave out --fps, and use conform later."
    elif options.source is not None and options.out is not None and is_film(options.out):
        wrong = "With --from, --out is a folder: a column out gives each row's film its name."
    if wrong is not None:
        raise CommandFailure("usage", detail=wrong, command="generate")


def _wish(options: argparse.Namespace) -> Wish:
    """What the options ask for; of a file's rows, what they do not say themselves."""
    seed = None if options.seed == values.RANDOM_SEED else options.seed
    if seed is None and options.source is None:  # a default --out is named after it; rows draw their own
        seed = random.randrange(MAX_SEED)
    width, height = options.size or (None, None)
    return Wish(
        options.prompt or "",
        negative_prompt=options.negative,
        style=options.style,
        preset=options.preset,
        frames=options.frames,
        width=width,
        height=height,
        seed=seed,
        settings=values.nested(options.set),
        loras=tuple(options.lora),
        footage=options.footage or (),
        strength=options.strength,
        anchor=options.anchor,
    )


def _check_space(options: argparse.Namespace, wanted: Wish, style: Style | None) -> None:
    if style is not None:
        frames = wanted.frames if wanted.frames is not None else style.frames
        check_space(options.out, frames * (wanted.width or style.width) * (wanted.height or style.height) * 3)


def _detach(job: Job, output: Output) -> int:
    """Leave the job to the backend."""
    assert job.accepted is not None
    output.say(job.id)
    output.line(job.accepted)
    return EXIT_DONE


def _made(backend: Backend, job: Job, options: argparse.Namespace, watcher: Watcher) -> Job:
    """Follow a job to its end, and then the one that changes its frame rate, if that is wanted. The last job."""
    with cancelling(backend, [job]):
        watcher.follow(job)
    if options.fps is None:
        return job
    conformed = backend.conform(job, options.fps, options.method)
    with cancelling(backend, [conformed]):
        watcher.follow(conformed)
    job.received()
    return conformed
