"""Commands about the backend as a whole: status, pause, resume, free, stop."""

from __future__ import annotations

import argparse

from shared_protocol.messages import Queue
from shared_protocol.texts import duration

from ..failures import EXIT_DONE, EXIT_TO_CHANGE
from .following import connected, state_of
from .health import Health, health_of
from .output import Output, size_text, warn


def status(options: argparse.Namespace) -> int:
    """Say what the backend does. Returns 0 if that is well, 1 if its queue has stopped by itself."""
    output = Output(json=options.json)
    with connected(options) as backend:
        welcome, now = backend.welcome, backend.status()
        health = health_of(backend, now)
    output.line(health)
    if options.styles:
        for style in welcome.styles:
            output.line(style, type="Style")
    output.say(f"Backend {welcome.backend} serves {now.clients} clients, this one included; device: {welcome.device}.")
    runs = ", ".join(worker.job or "another's job" for worker in now.workers if worker.state == "working")
    output.say(f"Running: {runs or 'nothing'}; waiting: {now.queue.waiting}; models read from disk {now.loads} times.")
    if (said := state_of(now.queue)) is not None:
        output.say(said)
    for worker in now.workers:
        runs = f"process {worker.pid}" if worker.pid else worker.state
        job = worker.job or ("another's" if worker.state == "working" else "none")
        output.say(f"Worker: {runs}; device: {worker.device}; job: {job}.")
    if now.data_folder:
        output.say(f"Queue and results lie in {now.data_folder}.")
    _say_health(output, health)
    output.say("Styles:")
    for style in welcome.styles:
        native = f"{style.width} × {style.height}, {style.frames} frames"
        output.say(f"  {style.name:<16} {native:<24} {style.description}")
        if style.presets:
            output.say(f"  {'':<16} presets: {', '.join(_marked(name, style.preset) for name in style.presets)}")
    for note in now.notes:
        warn(note)
    return EXIT_DONE if health.healthy else EXIT_TO_CHANGE


def _say_health(output: Output, health: Health) -> None:
    if health.results is not None and health.results_bytes is not None and health.free_bytes is not None:
        size, free = size_text(health.results_bytes), size_text(health.free_bytes)
        output.say(f"{health.results} results have {size}; {free} are free there.")
    if health.uptime is not None:
        output.say(f"It has run for {duration(health.uptime)}.")
    if (last := health.last_failure) is not None:
        output.say(f"The last job that failed is {last.job}: {last.message}")


def pause(options: argparse.Namespace) -> int:
    """Start no further job."""
    with connected(options) as backend:
        state = backend.pause()
    output = Output(json=options.json)
    output.line(Queue(queue=state))
    output.say(f"The queue is paused; {state.running} jobs that run are finished.")
    return EXIT_DONE


def resume(options: argparse.Namespace) -> int:
    """Start jobs again."""
    with connected(options) as backend:
        state = backend.resume()
    output = Output(json=options.json)
    output.line(Queue(queue=state))
    output.say(f"The queue goes on; {state.waiting} jobs wait.")
    return EXIT_DONE


def free(options: argparse.Namespace) -> int:
    """Give back the memory of models."""
    with connected(options) as backend:
        now = backend.free()
    output = Output(json=options.json)
    output.line(now)
    busy = sum(worker.state == "working" for worker in now.workers)
    output.say("The memory of models is free." + (f" {busy} workers have a job and keep theirs." if busy else ""))
    return EXIT_DONE


def stop(options: argparse.Namespace) -> int:
    """End the backend."""
    with connected(options) as backend:
        backend.shut_down()
    Output(json=options.json).say("The backend has ended. Unfinished jobs wait for its next start.")
    return EXIT_DONE


def _marked(name: str, own: str) -> str:
    return f"{name} (its own)" if name == own else name
