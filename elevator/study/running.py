"""Makes what is missing of a study, and keeps it: resumable, on several cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm  # type: ignore[import-untyped]

from ..errors import PlanError
from ..pixels import Pixels
from ..sources import Sources
from .arms import Table
from .making import Machine, Recipe, Recipes, make
from .measuring import knows_world, read_clip
from .prompts import StudyPrompt
from .records import Record, Records, packed

SHOWN = 12
"""Every so many prompts are shown in pictures, whatever they look like."""


@dataclass(frozen=True)
class Study:
    """What is asked for."""

    out: Path
    t2i: str
    t2vs: tuple[str, ...]
    tables: tuple[Table, ...]
    prompts: tuple[StudyPrompt, ...]
    seeds: int
    """Of each prompt, at most; tables may want fewer."""
    frames: int = 16
    size: tuple[int, int] | None = None
    """(W, H); None: the T2I's own."""
    machine: Machine = field(default_factory=Machine)
    processes: int = 1

    def clips(self, seeds: int) -> list[tuple[StudyPrompt, int]]:
        """Every prompt with so many of its seeds; first seeds first, so that what is made is balanced at any time."""
        count = min(seeds, self.seeds)
        return [(prompt, prompt.seeds[k]) for k in range(count) for prompt in self.prompts if k < len(prompt.seeds)]

    def t2vs_of(self, table: Table) -> tuple[str, ...]:
        """The T2Vs of a table."""
        return self.t2vs[: table.t2vs]

    @property
    def shown(self) -> list[tuple[StudyPrompt, int]]:
        """The clips that pictures show."""
        return [(prompt, prompt.seeds[0]) for prompt in self.prompts[::SHOWN]]

    def picture(self, key: str, prompt: StudyPrompt, seed: int) -> Path:
        """Where a shown clip lies: a strip of its frames, side by side."""
        return self.out / "pictures" / key / f"{sha256(prompt.text.encode()).hexdigest()[:8]}-{seed}.png"


@dataclass(frozen=True)
class Cast:
    """The recipes of all arms of a study's tables."""

    recipes: Mapping[tuple[str, str], Recipe]
    """(T2V, arm) → recipe."""
    impossible: Mapping[tuple[str, str], str]
    """(T2V, arm) → why this pair cannot make it."""
    seeds: Mapping[str, int]
    """Key → how many clips of each prompt some table wants."""

    @property
    def different(self) -> dict[str, Recipe]:
        """Key → recipe; arms with the same settings are one."""
        found: dict[str, Recipe] = {}
        for recipe in self.recipes.values():
            found.setdefault(recipe.key, recipe)
        return found


def cast(study: Study) -> Cast:
    """The recipes, from headers alone. Raises ElevatorError for models that cannot be read."""
    recipes: dict[tuple[str, str], Recipe] = {}
    impossible: dict[tuple[str, str], str] = {}
    seeds: dict[str, int] = {}
    for t2v in study.t2vs:
        pair = Recipes(Sources(study.t2i, t2v), study.size, study.frames, study.machine)
        for table in (table for table in study.tables if t2v in study.t2vs_of(table)):
            for arm in table.arms:
                here = t2v, arm.name
                if (arm.style is not None or arm.few_steps) and not knows_world(study.t2i):
                    impossible[here] = "Its LoRA is one of the embedded T2I."
                    continue
                try:
                    recipe = recipes[here] = recipes.get(here) or pair.recipe(arm)
                except PlanError as error:
                    impossible[here] = str(error)
                else:
                    seeds[recipe.key] = max(seeds.get(recipe.key, 0), min(table.seeds, study.seeds))
    return Cast(recipes, impossible, seeds)


@dataclass(frozen=True)
class Job:
    """One clip to be made."""

    recipe: Recipe
    prompt: StudyPrompt
    seed: int
    world: bool
    machine: Machine
    commit: str
    picture: Path | None


Known: TypeAlias = Mapping[tuple[str, str, int], Record]


def missing(study: Study, found: Cast, known: Known) -> list[Job]:
    """The clips that are still to be made; those that are shown, too, where their picture is not there."""
    world, code, shown = knows_world(study.t2i), commit(), set(study.shown)
    jobs = []
    every = [(recipe, set(study.clips(found.seeds[recipe.key]))) for recipe in found.different.values()]
    for prompt, seed in study.clips(study.seeds):
        for recipe in (recipe for recipe, clips in every if (prompt, seed) in clips):
            picture = study.picture(recipe.key, prompt, seed) if (prompt, seed) in shown else None
            if (recipe.key, prompt.text, seed) not in known or (picture is not None and not picture.exists()):
                jobs.append(Job(recipe, prompt, seed, world, study.machine, code, picture))
    return jobs


def run(study: Study, found: Cast, quiet: bool = False) -> None:
    """Make all that is missing; every clip is kept as soon as it is measured.

    Raises ElevatorError if a clip cannot be made, and KeyboardInterrupt; what was made by then is kept.
    """
    study.out.mkdir(parents=True, exist_ok=True)
    records = Records(study.out)
    records.mend()
    known = records.read()
    jobs = missing(study, found, known)
    total = sum(job.recipe.tflop for job in jobs)
    shows = {"bar_format": "{desc} {percentage:3.0f} % |{bar}| {elapsed} < {remaining}"}
    interval = 0.5 if sys.stderr.isatty() else 60
    with tqdm(total=total, disable=quiet, mininterval=interval, **shows) as bar:
        for done, record in enumerate(_made(jobs, study.processes), 1):
            if record.clip not in known:
                records.add(record)
            bar.set_description_str(f"{done}/{len(jobs)} clips, {record.arm}", refresh=False)
            bar.update(record.tflop)


def _made(jobs: list[Job], processes: int) -> Iterator[Record]:
    if processes == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    others, spawn = multiprocessing.active_children(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_prepare) as pool:
        try:
            waiting = [pool.submit(work, job) for job in jobs]
            for future in as_completed(waiting):
                yield future.result()
        finally:  # whoever interrupts does not wait for clips that nobody will keep
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                if child not in others:
                    child.terminate()


def _prepare() -> None:
    """A worker has one thread, ends at Ctrl-C without a word, and does not outlive who started it."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def work(job: Job) -> Record:
    """Make a clip, measure it, and keep its picture if it is shown."""
    recipe = job.recipe
    made = make(recipe, job.prompt.text, job.seed, job.machine)
    reading = read_clip(made.clip, job.prompt, recipe.arm, job.world)
    if job.picture is not None:
        _save(made.clip, job.picture)
    return Record(
        key=recipe.key,
        arm=recipe.arm.name,
        t2v=recipe.t2v,
        prompt=job.prompt.text,
        seed=job.seed,
        commit=job.commit,
        device=job.machine.device,
        seconds=made.seconds,
        calls=recipe.calls,
        tflop=recipe.tflop,
        numbers=reading.numbers,
        features=packed(reading.features),
    )


def _save(clip: Pixels, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.png")
    Image.fromarray(np.concatenate(list(clip), axis=1)).save(temporary)
    temporary.replace(path)


def commit() -> str:
    """The code's commit, with a + where files of it have changed since; empty where there is no clone or no git."""
    git = ["git", "-C", str(Path(__file__).parents[2])]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
