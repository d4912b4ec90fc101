"""`generate --from FILE`: one job a row. What was made before is not made again."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from shared_protocol.messages import JobView

from ..client.api import LISTED, Backend, Job, Wish
from ..client.saving import in_use, is_taken, prepare
from ..failures import EXIT_DONE, BackendError
from ..styles.catalogue import read_catalogue
from .batch_file import Row, read_rows
from .checking import check
from .failures import CommandFailure
from .following import Watcher, cancelling, connected_to_make, saved
from .output import Error, Output, Skipped, warn
from .receipt import Receipt, asked_of, read_receipt, write_receipt
from .terminal import ProgressLine

AGAIN = ("failed", "cancelled")
"""Jobs that ended like this are submitted once more by the next run."""


def generate(options: argparse.Namespace, wish: Wish) -> int:
    """Make the clips of a file's rows, of which `wish` says what they do not. Raises BackendError."""
    output = Output(json=options.json)
    rows, wrong = read_rows(options.source, wish, options.fps)
    count = len(rows) + len(wrong)
    if options.dry_run:
        from .dry_run import foresee_rows

        return foresee_rows(options.source, rows, wrong, output)
    _check(rows, options, wrong)
    if wrong:
        for number in sorted(wrong):
            warn(wrong[number])
        raise CommandFailure("batch_refused", count=len(wrong), rows=count, file=options.source)
    with connected_to_make(options) as backend, ProgressLine(quiet=options.quiet or options.json) as line:
        batch = _Batch(backend, rows, options, output, line)
        with cancelling(backend, batch.work):
            try:
                batch.run()
            except BackendError as error:
                if error.code != "not_reached":
                    raise
                raise CommandFailure("batch_lost", detail=error.sentence) from error
    if batch.failed:
        raise CommandFailure("rows_failed", count=batch.failed, rows=count)
    output.say(f"{count} clips lie in {options.out.resolve()}.")
    return EXIT_DONE


def _check(rows: Sequence[Row], options: argparse.Namespace, wrong: dict[int, str]) -> None:
    """Say of rows that cannot be used why, in `wrong`."""
    # Of the styles of another machine only its own backend knows.
    catalogue = read_catalogue() if options.profile is None else None
    for row in rows:
        folder = options.out / row.folder
        try:
            if catalogue is not None:
                check(row.wish, catalogue, fake=options.fake)
            receipt = read_receipt(folder)
            if not options.overwrite and is_taken(folder) and (receipt is None or receipt.asked != asked_of(row)):
                raise in_use(folder)
        except BackendError as error:
            wrong[row.number] = f"{row.where}: {error}"


class _Batch:
    """Rows on their way: submitted while the queue takes them, saved when their jobs have ended."""

    def __init__(
        self, backend: Backend, rows: Sequence[Row], options: argparse.Namespace, output: Output, line: ProgressLine
    ) -> None:
        self.work: dict[Job, Row] = {}
        """Jobs that were submitted and whose rows are not finished."""
        self.failed = 0
        self._sources: dict[Job, Job] = {}
        """The clips' jobs of those that change the frame rate."""
        self._backend = backend
        self._todo = deque(rows)
        self._rows = len(rows)
        self._options = options
        self._output = output
        self._line = line
        self._watcher = Watcher(line, output, quiet=options.quiet)
        self._known: dict[str, JobView] = {view.job: view for view in backend.jobs(LISTED).jobs}

    def run(self) -> None:
        """Work until no row is left, or, detached, until all are submitted. Raises BackendError for what stops all."""
        full = False
        while self._todo or (self.work and not self._options.detach):
            if self._todo and not full:
                full = not self._start(self._todo[0])
                if not full:
                    self._todo.popleft()
                continue
            job, incoming = self._backend.next_event(self.work)
            if job is None:
                self._watcher.show(incoming.message)
                continue
            row = self.work[job]
            self._watcher.show(incoming.message, self._label(row), row=row.number)
            if job.end is not None:
                full = False
                self._ended(job, self.work.pop(job))

    def _start(self, row: Row) -> bool:
        """Submit a row, or take up its job again, or skip it. Whether it was not too much for the queue."""
        folder = self._folder(row)
        asked = asked_of(row)
        receipt = read_receipt(folder)
        try:
            if receipt is not None and receipt.asked == asked:
                if receipt.is_whole(folder):
                    self._output.line(Skipped(folder=str(folder.resolve())), row=row.number)
                    return True
                if self._goes_on(receipt.job):
                    self.work[self._backend.job(receipt.job)] = row
                    return True
            prepare(folder, overwrite=True)  # what lies there was looked at before
            job = self._backend.submit(row.wish)
            write_receipt(folder, Receipt(job=job.id, asked=asked))
            self.work[job] = row
        except BackendError as error:
            if error.code == "queue_full" and self.work:
                return False
            self._fail(row, error)
        return True

    def _goes_on(self, job_id: str) -> bool:
        """Whether a clip can still come of a job that an earlier run has submitted."""
        view = self._known.get(job_id)
        return view is not None and (view.has_result if view.state == "done" else view.state not in AGAIN)

    def _ended(self, job: Job, row: Row) -> None:
        """Go on with a row whose job has ended."""
        source = self._sources.pop(job, None)
        try:
            job.result()
            if row.fps is not None and source is None:
                conformed = self._backend.conform(job, row.fps, self._options.method)
                self.work[conformed] = row
                self._sources[conformed] = job
                return
            self._save(job, row, source)
        except BackendError as error:
            self._fail(row, error)

    def _save(self, job: Job, row: Row, source: Job | None) -> None:
        folder = self._folder(row)
        paths = job.fetch(folder, overwrite=True)
        done = job.result()
        if source is not None:
            source.received()
        clip = source or job
        write_receipt(folder, Receipt(job=clip.id, asked=asked_of(row), frames=done.frames, seed=done.seed))
        self._line.clear()
        saved(self._output, job, paths, f"{self._label(row)}: ", row=row.number)

    def _fail(self, row: Row, error: BackendError) -> None:
        if error.code == "not_reached":
            raise error
        self.failed += 1
        self._line.say(f"{row.where}: {error}")
        self._output.line(Error.of(error), row=row.number)

    def _folder(self, row: Row) -> Path:
        folder: Path = self._options.out / row.folder
        return folder

    def _label(self, row: Row) -> str:
        return f"row {row.number} of {self._rows}"
