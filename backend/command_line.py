"""`generate`, `status` and `stop`: a client of the backend in a terminal."""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from shared_protocol import connection, places
from shared_protocol.client import Client, Lost, new_job_id
from shared_protocol.errors import ConnectionFileError, NoBackend
from shared_protocol.messages import (
    Accepted,
    AskStatus,
    Cancel,
    Cancelled,
    Done,
    Failed,
    Frame,
    Generate,
    Goodbye,
    Message,
    Progress,
    Shutdown,
    Status,
    Welcome,
)
from shared_protocol.wire import Buffer, Incoming

from .failures import EXIT_DONE, TABLE, BackendError, cannot_write
from .launch import start_backend
from .terminal import ProgressLine

GOODBYE_SECONDS = 5.0
FRAME_FILES = "frame_[0-9][0-9][0-9][0-9].png"
MAX_SEED = 2**31 - 1
M = TypeVar("M", bound=Message)


def size(text: str) -> tuple[int, int]:
    """ "64x48" → (64, 48). For argparse, which wants ValueError or ArgumentTypeError."""
    match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f'"{text}" is no size: write it like 64x64')
    return int(match[1]), int(match[2])


def generate(options: argparse.Namespace) -> int:
    """Make a clip and write its frames. Raises BackendError."""
    out: Path = options.out
    _prepare(out, overwrite=options.overwrite)
    with _conversation(options) as client:
        welcome = _expect(client, Welcome)
        if options.fake and welcome.device != "none":
            print("A backend with models runs already, so it makes the clip.", file=sys.stderr)
        style = next((style for style in welcome.styles if style.name == options.style), None)
        # Without such a style any size will do: the backend answers with the list of styles.
        width, height = options.size or ((style.width, style.height) if style else (64, 64))
        frames = options.frames if options.frames is not None else style.frames if style else 1
        request = Generate(
            job=new_job_id(),
            prompt=options.prompt,
            negative_prompt=options.negative,
            style=options.style,
            frames=frames,
            width=width,
            height=height,
            seed=random.randrange(MAX_SEED) if options.seed is None else options.seed,
        )
        if style is not None:
            _check_space(out, frames * width * height * 3)
        client.send(request)
        with ProgressLine(quiet=options.quiet) as line:
            try:
                done = _follow(client, request.job, out, line)
            except KeyboardInterrupt:
                client.send(Cancel(job=request.job))
                _end_of(client, request.job)
                raise
    print(
        f"{done.frames} frames of {done.width} × {done.height} pixels, {done.fps:g} a second, seed {done.seed}, "
        f"made in {done.seconds:.1f} s:"
    )
    print(f"{out.resolve() / 'frame_0001.png'} … frame_{done.frames:04d}.png")
    return EXIT_DONE


def status(options: argparse.Namespace) -> int:
    """Say what the backend does."""
    with _connect() as client:
        welcome = _expect(client, Welcome)
        client.send(AskStatus())
        now = _expect(client, Status)
    print(f"Backend {welcome.backend} serves {now.clients} clients, this one included; device: {welcome.device}.")
    print(f"Running: {now.running or 'nothing'}; waiting: {now.waiting}; models read from disk {now.loads} times.")
    print(f"Worker: {f'process {now.worker_pid}' if now.worker_pid else 'none'}.")
    print("Styles:")
    for style in welcome.styles:
        native = f"{style.width} × {style.height}, {style.frames} frames"
        print(f"  {style.name:<16} {native:<24} {style.description}")
    for note in now.notes:
        print(note, file=sys.stderr)
    return EXIT_DONE


def stop(options: argparse.Namespace) -> int:
    """End the backend."""
    with _connect() as client:
        _expect(client, Welcome)
        _shut_down(client)
    print("The backend has ended.")
    return EXIT_DONE


def _connect() -> Client:
    try:
        return Client(connection.read(places.connection_file()), name="command line")
    except NoBackend:
        raise BackendError("no_backend") from None
    except ConnectionFileError as error:
        raise BackendError("not_reached", detail=error) from error


@contextmanager
def _conversation(options: argparse.Namespace) -> Iterator[Client]:
    """A client of the running backend, or of one that is started, and stopped at the end."""
    process = None
    try:
        found = connection.read(places.connection_file())
    except NoBackend:
        found, process = start_backend(fake=options.fake, device=options.device, grace=options.grace)
    except ConnectionFileError as error:
        raise BackendError("not_reached", detail=error) from error
    with Client(found, name="command line") as client:
        try:
            yield client
        finally:
            if process is not None:
                if found.pid == process.pid:
                    _shut_down(client)
                _wait_for(process)


def _shut_down(client: Client) -> None:
    client.send(Shutdown())
    deadline = time.monotonic() + GOODBYE_SECONDS
    while client.lost is None and time.monotonic() < deadline:
        client.wait(0.2)
        if any(isinstance(message, Goodbye) for message, _ in client.poll()):
            return


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(GOODBYE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _arrivals(client: Client) -> Iterator[Incoming]:
    """What comes from the backend, for ever. Raises BackendError when the connection is lost."""
    while True:
        client.wait(1.0)
        for incoming in client.poll(budget=1.0):
            if isinstance(incoming.message, Lost):
                raise BackendError("not_reached", detail=incoming.message.reason)
            yield incoming


def _expect(client: Client, kind: type[M]) -> M:
    """The next message of this kind."""
    return next(message for message, _ in _arrivals(client) if isinstance(message, kind))


def _follow(client: Client, job: str, out: Path, line: ProgressLine) -> Done:
    """Write what arrives until the job ends. Raises BackendError."""
    for message, buffers in _arrivals(client):
        if getattr(message, "job", None) != job:
            continue
        match message:
            case Accepted():
                for warning in message.warnings:
                    print(warning, file=sys.stderr)
            case Progress():
                line.show(message)
            case Frame():
                _write(out / f"frame_{message.index + 1:04d}.png", buffers[0])
            case Done():
                return message
            case Failed():
                raise _failure(message)
            case Cancelled():
                raise BackendError("cancelled")
    raise AssertionError("arrivals never end")


def _end_of(client: Client, job: str) -> None:
    """Wait until a job that was cancelled has ended, but not for ever."""
    deadline = time.monotonic() + GOODBYE_SECONDS
    while client.lost is None and time.monotonic() < deadline:
        client.wait(0.2)
        ends = (Done, Failed, Cancelled)
        if any(isinstance(message, ends) and message.job == job for message, _ in client.poll()):
            return


def _failure(failed: Failed) -> BackendError:
    """What the backend said, as it said it."""
    error = BackendError("not_reached", detail=failed.message)
    error.args = (f"{failed.message} {failed.next_step}",)
    error.exit_code = TABLE[failed.code].exit_code
    return error


def _prepare(out: Path, *, overwrite: bool) -> None:
    """Make the folder, before hours of work are lost for want of it. Raises BackendError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        old = sorted(out.glob(FRAME_FILES))
        if old and not overwrite:
            raise BackendError("folder_in_use", folder=out)
        probe = out / f".elevator-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
        for path in old:
            path.unlink()
    except OSError as error:
        raise cannot_write(out, error) from error


def _check_space(out: Path, needed: int) -> None:
    if shutil.disk_usage(out).free < needed:
        raise BackendError("disk_full")


def _write(path: Path, data: Buffer) -> None:
    """Write a file so that it is there whole or not at all. Raises BackendError."""
    temporary = path.with_suffix(".part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path.parent, error) from error
