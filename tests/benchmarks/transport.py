"""What another process costs: `python -m tests.benchmarks.transport [--jobs 3] [--style plain]`.

First the line: frames of noise, whose PNG files are as large as their pixels, from the results of a real server to a
client (`Fetch`), and from a worker's line to where a server reads it; both encrypted by CURVE. Beside them stands a
plain copy in memory of as many bytes, measured in the same run.

Then a job: a clip of 16 frames of the embedded models, on a real backend that has them loaded already. What is not
sampling is told by phase: what the client waits for before and after the sampling, and, from the same loop in this
process, what keeping frames and telling progress takes between two steps. Medians of some jobs. The aim: at most 2 %.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import zmq

from backend.orders import Preview, Sample, Task, WorkerKeys
from backend.server.door import Door, bind_guarded
from backend.server.guests import LOCAL
from backend.server.jobs import Job, Owner, State
from backend.server.keys import KeyPair
from backend.server.requests import resolve
from backend.server.result_record import record
from backend.server.results import RESULT_FILE, ResultStore
from backend.server.store import JobStore
from backend.styles.catalogue import read_catalogue
from backend.worker.maker import Advance, Extra, Item, Picture
from backend.worker.process import Keeper, Line
from backend.worker.progress import Reporter
from elevator.arguments import ArgumentParser
from elevator.pictures.clip_folder import frame_name
from elevator.pictures.encoding import encoded
from shared_protocol.client import new_job_id
from shared_protocol.machine import places
from shared_protocol.messages import Accepted, Done, Fetch, Fetched, Frame, Generate, Message, Progress
from shared_protocol.wire import encode
from tests.backend import orders
from tests.backend.harness import running

ME = "1" * 32
FRAMES = 64
ROUNDS = 5
PROMPT = "a pumpkin moving right, blue background"
SAMPLING = ("text", "encoding", "painting", "refining", "inverting", "decoding")


# The line ------------------------------------------------------------------------------------------------------


def noise(side: int) -> list[bytes]:
    """PNG files that hardly compress."""
    chance = np.random.default_rng(side)
    return [encoded(chance.integers(0, 256, (side, side, 3), np.uint8)) for _ in range(4)] * (FRAMES // 4)


def leave_result(frames: Sequence[bytes]) -> str:
    """A finished job as a backend leaves it, which the next one finds. Its name."""
    job = Job(new_job_id(), Owner(LOCAL, ME), orders.order())
    folder = places.data_folder() / "results" / job.id
    folder.mkdir(parents=True)
    for index, data in enumerate(frames):
        (folder / frame_name(index)).write_bytes(data)
    done = msgspec.structs.replace(orders.done(job.id), frames=len(frames))
    (folder / RESULT_FILE).write_bytes(record(job, done))
    return job.id


def seconds_to_fetch(job: str, rounds: int = ROUNDS) -> float:
    """From a real server's disk to a client, the best of some rounds."""
    times = []
    with running("--stay") as backend, backend.client(client_id=ME) as client:
        for _ in range(rounds + 1):
            began = time.perf_counter()
            client.client.send(Fetch(job=job, count=FRAMES))
            client.expect(Fetched)
            times.append(time.perf_counter() - began)
            client.heard.clear()
    return min(times[1:])


def send_frames(keys: WorkerKeys, side: int) -> None:
    """What a worker does with its frames, in a process of its own."""
    line, frames = Line(keys), noise(side)
    line.send(Accepted(job="0" * 32, position=0))
    line.receive()
    for index, data in enumerate(frames):
        line.send(Frame(job="0" * 32, index=index, frames=FRAMES), [data])
    line.receive()


def seconds_from_worker(side: int, rounds: int = ROUNDS) -> float:
    """From a worker's line to where a server reads it, the best of some rounds."""
    times = []
    go = encode(Preview(job="0" * 32, wanted=True))  # any message that a worker takes
    for _ in range(rounds):
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            door = Door(context)
            ours, theirs = KeyPair.fresh(), KeyPair.fresh()
            door.admit("bench", [theirs.public])
            socket.rcvhwm, socket.linger = 0, 0
            endpoint = bind_guarded(socket, ours, "bench")
            keys = WorkerKeys(
                endpoint=endpoint,
                server_key=ours.public,
                public=theirs.public,
                secret=theirs.secret,
                fake=True,
                device="",
            )
            worker = multiprocessing.get_context("spawn").Process(target=send_frames, args=(keys, side))
            worker.start()
            socket.recv_multipart()
            began = time.perf_counter()
            socket.send_multipart(go)
            for _ in range(FRAMES):
                socket.recv_multipart()
            times.append(time.perf_counter() - began)
            socket.send_multipart(go)
            worker.join()
            door.stop()
    return min(times)


def seconds_to_copy(frames: Sequence[bytes]) -> float:
    """The same bytes from here to there, the best of some rounds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for data in frames:
            bytearray(data)
        times.append(time.perf_counter() - began)
    return min(times)


def the_line() -> None:
    """Print megabytes a second and milliseconds a frame."""
    print("side   file kB   from                      MB/s   ms a frame   × a copy")
    for side in (512, 1024):
        frames = noise(side)
        size = sum(map(len, frames))
        with tempfile.TemporaryDirectory() as home:
            os.environ["ELEVATOR_HOME"] = home
            fetch = seconds_to_fetch(leave_result(frames))
        copy, hop = seconds_to_copy(frames), seconds_from_worker(side)
        for name, seconds in (("a copy in memory", copy), ("worker to server", hop), ("results to client", fetch)):
            numbers = f"{size / seconds / 1e6:8.0f}   {seconds / FRAMES * 1e3:10.3f}   {seconds / copy:8.1f}"
            print(f"{side:4d}   {size / FRAMES / 1e3:7.0f}   {name:20s}  {numbers}", flush=True)


# A job ---------------------------------------------------------------------------------------------------------


class Deaf(Line):
    """A line that nobody hears; messages are made all the same."""

    def __init__(self) -> None:
        pass

    def send(self, message: Message, buffers: Sequence[bytes] = ()) -> None:
        encode(message, buffers)


def request(style: str) -> Generate:
    """A clip of the style's own size."""
    offered = next(one for one in read_catalogue().styles if one.name == style)
    return Generate(
        job=new_job_id(), prompt=PROMPT, style=style, frames=16, width=offered.width, height=offered.height, seed=1
    )


def seen_by_client(style: str, jobs: int) -> list[dict[str, float]]:
    """Seconds by phase, as a client sees a job of loaded models."""
    found = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["ELEVATOR_HOME"] = home
        with running("--stay", fake=False) as backend, backend.client(client_id=ME) as client:
            for _ in range(jobs + 1):
                order = request(style)
                at: dict[str, float] = {"asked": time.perf_counter()}
                client.client.send(order)
                for message, _ in client.arrivals():
                    now = time.perf_counter()
                    if isinstance(message, Accepted):
                        at["accepted"] = now
                    elif isinstance(message, Progress) and message.phase in SAMPLING:
                        at.setdefault("sampling", now)
                    elif isinstance(message, Frame):
                        at["last frame"] = now
                    elif isinstance(message, Done):
                        at["done"] = now
                        break
                assert isinstance(message, Done)
                kept = msgspec.json.decode((Path(message.folder) / "clip.json").read_bytes())["seconds"]
                sampling = sum(kept.get(phase, 0.0) for phase in SAMPLING)
                found.append(
                    {
                        "whole": at["done"] - at["asked"],
                        "sampling, with what is kept and told": sampling,
                        "before: accepted": at["accepted"] - at["asked"],
                        "before: models found loaded": kept.get("loading", 0.0),
                        "after: hashes of the models": kept.get("hashing", 0.0),
                        "after: measures of the clip": kept.get("measuring", 0.0),
                        "after: all from the last frame to Done": at["done"] - at["last frame"],
                    }
                )
    return found[1:]


def in_this_process(style: str, jobs: int) -> list[dict[str, float]]:
    """Seconds that the worker's loop spends between the steps, and the server at the end."""
    from backend.worker.sampling import SamplingMaker

    maker, found = SamplingMaker("auto"), []
    with tempfile.TemporaryDirectory() as home:
        os.environ["ELEVATOR_HOME"] = home
        results, store = ResultStore(Path(home) / "results"), JobStore(Path(home) / "queue.db")
        for _ in range(jobs + 1):
            asked = request(style)
            order, _ = resolve(asked, read_catalogue(), fake=False, upload=lambda sha256: None)
            assert isinstance(order, Sample)
            task = Task(job=asked.job, order=order, folder=str(results.partial(asked.job)))
            job = Job(asked.job, Owner(LOCAL, ME), order)
            store.add(job)
            store.move(job.id, State.LOADING)
            spent, done = worker_loop(maker.make(order), task)
            found.append(spent)
            began = time.perf_counter()
            size = results.publish(job.id, record(job, done))
            found[-1]["server: result published"] = time.perf_counter() - began
            began = time.perf_counter()
            store.finish(done, size)
            found[-1]["server: end stored"] = time.perf_counter() - began
    return found[1:]


def worker_loop(items: Iterator[Item], task: Task) -> tuple[dict[str, float], Done]:
    """As `Worker` does it: what took how long, and the job's end."""
    spent: dict[str, float] = defaultdict(float)
    line = Deaf()
    keep, reporter = Keeper(task, line), Reporter(task.job, previews=False)
    mark = time.perf_counter()

    def took(name: str) -> None:
        nonlocal mark
        now = time.perf_counter()
        spent[name] += now - mark
        mark = now

    for item in items:
        took("worker: record and contact sheet" if isinstance(item, Extra) else "sampling")
        match item:
            case Picture():
                keep.picture(item)
                took("worker: frames packed and on the disk")
            case Extra():
                keep.extra(item)
                took("worker: other files on the disk")
            case Advance():
                if report := reporter.report(item, time.monotonic()):
                    line.send(*report)
                took("worker: progress told")
    return dict(spent), keep.done(1.0)


def the_job(style: str, jobs: int) -> None:
    """Print what is not sampling."""

    def median(rows: list[dict[str, float]]) -> dict[str, float]:
        return {name: statistics.median(row.get(name, 0.0) for row in rows) for name in rows[0]}

    outside, inside = median(seen_by_client(style, jobs)), median(in_this_process(style, jobs))
    kept = inside["worker: frames packed and on the disk"] + inside["worker: progress told"]
    whole = outside["whole"]
    sampling = outside["sampling, with what is kept and told"] - kept
    print(f"\nA clip of 16 frames in the style {style}, {jobs} jobs; share of the {whole:.2f} s that a client waits")
    for name, seconds in {**outside, **inside}.items():
        print(f"  {name:42s} {seconds * 1e3:9.1f} ms   {seconds / whole:7.2%}")
    print(f"outside sampling: {1 - sampling / whole:.2%}")


def main() -> None:
    """Read the options and run."""
    parser = ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--style", default="plain")
    options = parser.parse_args()
    print(f"load before {os.getloadavg()[0]:.1f}")
    the_line()
    the_job(options.style, options.jobs)


if __name__ == "__main__":
    main()
