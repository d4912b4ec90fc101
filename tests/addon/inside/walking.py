"""A walk through an edit: what an artist may do, at random and in any order, while clips come and go.

Every step is drawn from the walk's seed and the step's number, so the next Blender goes on where a killed one was.
After each step it is looked at what must always hold; now and then everything comes to rest, and no clip may be lost.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import bpy
from harness import (
    FIGURES,
    HOME,
    PROJECTS,
    SPEC,
    kill_backend,
    later,
    lay,
    open_project,
    part,
    pump,
    scene,
    sequencer,
    tick_until,
)

REST_EVERY = 25
"""Steps between two rests."""
LAST_FRAME = 120
LONG_AGO = 3.5
"""Seconds after which a strip that was taken away counts as taken away."""

_mistakes: list[str] = []
"""What Blender printed of handlers that failed, which it does not hand on."""


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _mistakes.append(f"{kind.__name__}: {error}")
    sys.__excepthook__(kind, error, trace)


class Walk:
    """One artist at work. What `kept` holds outlives a killed Blender."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.file = HOME / "walk.json"
        self.kept: dict[str, Any] = {"step": 0, "asked": {}, "given_up": [], "saved": {}, "done": {}, "now": ""}
        if self.file.is_file():
            self.kept = json.loads(self.file.read_text(encoding="utf-8"))
        self.draw = random.Random()

    # What an artist does ------------------------------------------------------------------------------------

    def generate(self) -> None:
        scene().render.fps = self.draw.choice((8, 24))
        self._lay("a fox")

    def generate_slowly(self) -> None:
        self._lay("a snail slow:0.02")

    def generate_what_fails(self) -> None:
        self._lay("a bug fail:out_of_memory")

    def _lay(self, prompt: str) -> None:
        scene().frame_set(self.draw.randint(1, LAST_FRAME))
        place = self.draw.choice(("ABOVE_ALL", "ABOVE_ACTIVE"))
        rate = self.draw.choice(("SCENE", "CLIP"))
        takes = self.draw.choice((1, 1, 1, 2))
        lay(prompt, frames=self.draw.randint(1, 3), width=64, height=64, place=place, rate=rate, takes=takes)

    def next_take(self) -> None:
        if self._select_any() is not None and bpy.ops.elevator.next_take.poll():
            bpy.ops.elevator.next_take("EXEC_DEFAULT", True)

    def move(self) -> None:
        if (strip := self._any_strip()) is not None:
            strip.frame_start += self.draw.randint(-20, 20)
            bpy.ops.ed.undo_push(message="Move")

    def change_channel(self) -> None:
        if (strip := self._any_strip()) is not None:
            strip.channel = self.draw.randint(1, 8)
            bpy.ops.ed.undo_push(message="Channel")

    def rename(self) -> None:
        if (strip := self._any_strip()) is not None:
            strip.name = f"Shot {self.draw.randint(1, 99)}"
            bpy.ops.ed.undo_push(message="Rename")

    def split(self) -> None:
        if (strip := self._select_any()) is not None:
            start, end = part("blender.strips").span(strip)
            self._edit("split", frame=self.draw.randint(start, end), side="BOTH")

    def duplicate(self) -> None:
        if self._select_any() is not None:
            self._edit("duplicate", then=_out_of_the_way)

    def delete(self) -> None:
        if self._select_any() is not None:
            self._edit("delete")

    def delete_all(self) -> None:
        for strip in part("blender.strips").every_strip(scene()):
            strip.select = True
        self._edit("delete")

    def into_a_meta(self) -> None:
        if self._select_any() is not None:
            self._edit("meta_make")

    def out_of_the_meta(self) -> None:
        if (meta := self._any_strip("META")) is not None:
            self._select(meta)
            self._edit("meta_separate", then=_out_of_the_way)

    def open_or_close_the_meta(self) -> None:
        if (meta := self._any_strip("META")) is not None:
            self._select(meta)
        self._edit("meta_toggle")

    def undo(self) -> None:
        for _ in range(self.draw.randint(1, 3)):
            with suppress(RuntimeError):  # the beginning
                bpy.ops.ed.undo()

    def redo(self) -> None:
        for _ in range(self.draw.randint(1, 3)):
            if bpy.ops.ed.redo.poll():
                bpy.ops.ed.redo()

    def cancel(self) -> None:
        active = pump().session.active
        if active:
            job = self.draw.choice(active).id
            self.kept["given_up"].append(job)
            bpy.ops.elevator.cancel(job=job)

    def try_again(self) -> None:
        if held := list(part("blender.clips").held()):
            job = self.draw.choice(held).ticket.job
            bpy.ops.elevator.try_again("EXEC_DEFAULT", True, job=job, new_seed=self.draw.random() < 0.5)

    def insert(self) -> None:
        finished = sorted(pump().session.backend.finished)
        if finished:
            scene().frame_set(self.draw.randint(1, LAST_FRAME))
            bpy.ops.elevator.insert_clip("EXEC_DEFAULT", True, job=self.draw.choice(finished))

    def remove_unused(self) -> None:
        if bpy.data.filepath:
            bpy.ops.elevator.remove_unused()

    def collect(self) -> None:
        if bpy.data.filepath:
            bpy.ops.elevator.collect_clips("EXEC_DEFAULT", True)

    def wait_for_a_clip(self) -> None:
        active = pump().session.active
        self._ticks(lambda: not pump().session.busy or any(job.ended for job in active))

    def pass_time(self) -> None:
        later(LONG_AGO)

    def save(self) -> None:
        if bpy.data.filepath:
            bpy.ops.wm.save_mainfile()
        else:
            self._save_as(f"first saved {self.kept['step']}")
        self._saved()

    def save_elsewhere(self) -> None:
        self._save_as(f"saved as {self.kept['step']}")
        self._saved()

    def _save_as(self, name: str) -> None:
        path = PROJECTS / name / f"{name}.blend"
        path.parent.mkdir(parents=True, exist_ok=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(path))

    def _saved(self) -> None:
        self.kept["saved"][bpy.data.filepath] = sorted(self._in_the_edit())

    def revert(self) -> None:
        if bpy.data.filepath:
            self._opened(bpy.data.filepath)

    def open_another(self) -> None:
        self._opened(self.draw.choice(sorted(self.kept["saved"])))

    def open_a_new_one(self) -> None:
        bpy.ops.wm.read_homefile(app_template="")
        scene().render.fps = 8
        self._begin()

    def _opened(self, path: str) -> None:
        bpy.ops.wm.open_mainfile(filepath=path)
        self._begin()

    def _begin(self) -> None:
        bpy.ops.ed.undo_push(message="Beginning")

    def kill_the_backend(self) -> None:
        kill_backend()

    def die(self) -> None:
        for job in pump().session.jobs.values():
            if not job.accepted:  # what no backend has heard of is only in the edit
                self.kept["asked"].pop(job.id, None)
        self._keep()
        os.kill(os.getpid(), signal.SIGKILL)

    # Its choices --------------------------------------------------------------------------------------------

    CHANCES: ClassVar[dict[str, int]] = {
        "generate": 12,
        "generate_slowly": 6,
        "generate_what_fails": 2,
        "move": 6,
        "change_channel": 4,
        "rename": 1,
        "split": 5,
        "duplicate": 4,
        "delete": 5,
        "delete_all": 1,
        "into_a_meta": 3,
        "out_of_the_meta": 2,
        "open_or_close_the_meta": 3,
        "undo": 10,
        "redo": 8,
        "cancel": 2,
        "try_again": 3,
        "next_take": 3,
        "insert": 3,
        "wait_for_a_clip": 8,
        "pass_time": 4,
        "save": 4,
        "save_elsewhere": 1,
        "revert": 2,
        "open_another": 2,
        "open_a_new_one": 1,
        "remove_unused": 3,
        "collect": 2,
        "kill_the_backend": 1,
        "die": 1,
    }

    def step(self) -> None:
        """One thing that is done, and what must hold after it."""
        number = self.kept["step"] = self.kept["step"] + 1
        self.draw.seed(f"{self.seed} {number}")
        name = self.draw.choices(list(self.CHANCES), list(self.CHANCES.values()))[0]
        self.kept["done"][name] = self.kept["done"].get(name, 0) + 1
        print(f"{number}: {name}", flush=True)
        getattr(self, name)()
        self.kept["now"] = bpy.data.filepath
        for _ in range(self.draw.randint(0, 3)):
            self._tick()
        self._look()
        if number % REST_EVERY == 0 or number == SPEC["steps"]:
            self.rest()

    def rest(self) -> None:
        """Everything comes to rest. Then every strip shows its clip or says why not, and no clip is lost."""
        self._ticks(lambda: not pump().session.busy)
        later(LONG_AGO)
        self._ticks(lambda: not pump().session.busy)
        self._look()
        for each in part("blender.clips").held():
            self._has_its_clip(each)
        self._find_clips()
        lost = self._asked() - self._kept_somewhere()
        assert not lost, {job: pump().session.jobs.get(job) for job in lost}

    def _find_clips(self) -> None:
        messages = part("shared_protocol.messages")
        session = pump().session
        told: list[Any] = []
        pump().do(session.reach())
        self._ticks(lambda: session.link.name == "READY" and not session.busy)
        receive = session.receive
        session.receive = lambda message, buffers=(): told.append(message) or receive(message, buffers)
        try:
            bpy.ops.elevator.find_clips()
            pump()._client.send(messages.AskStatus())  # the second: its answer comes after all that was asked before
            self._ticks(lambda: sum(isinstance(message, messages.Status) for message in told) == 2)
            # Of a long list one page comes after another.
            self._ticks(lambda: not session.backend._asked and not session.backend._awaited)
        finally:
            del session.receive
        views = [view for message in told if isinstance(message, messages.Jobs) for view in message.jobs]
        self.kept["asked"] |= {view.job: "FAILED" for view in views if view.state == "failed"}

    # What must hold -----------------------------------------------------------------------------------------

    def _look(self) -> None:
        assert not _mistakes, _mistakes
        assert pump().session.problem is None, pump().session.problem
        for job in pump().session.jobs:
            self.kept["asked"].setdefault(job, "")
        self._no_overlap()
        self._no_orphan()

    def _tick(self) -> None:
        """A tick in which nothing of the artist's changes: no redo is lost, and no selection."""
        before = self._artists()
        pump().tick()
        assert self._artists() == before

    def _ticks(self, done: Callable[[], bool]) -> None:
        before = self._artists()
        tick_until(done)
        assert self._artists() == before

    def _artists(self) -> tuple[Any, ...]:
        editor = scene().sequence_editor
        active = editor.active_strip if editor is not None else None
        strips = part("blender.strips")
        spans = [(each.channel, strips.span(each), each.select, each.mute) for each in strips.every_strip(scene())]
        return bpy.ops.ed.redo.poll(), bpy.ops.ed.undo.poll(), spans, active.channel if active else None

    def _no_overlap(self) -> None:
        strips = part("blender.strips")
        if scene().sequence_editor is None:
            return
        metas = [each for each in strips.every_strip(scene()) if each.type == "META"]
        for holder in (scene().sequence_editor, *metas):
            spans = sorted(strips.taken(holder))
            for first, second in itertools.pairwise(spans):
                assert first.channel != second.channel or first.end <= second.start, (first, second)

    def _no_orphan(self) -> None:
        """Every folder of frames belongs to a clip that was asked for, and has frames, or a process writes it."""
        known = {part("clip.wish").folder_name("", job)[-8:] for job in self.kept["asked"]}
        for parent in self._parents():
            for path in parent.iterdir():
                if path.is_file():
                    assert path.name.startswith(("waiting-", "failed-", "shown_by.txt")), path
                elif path.name.startswith("."):
                    assert path.name.split(".")[1][-8:] in {job[:8] for job in pump()._deliveries._under_way}, path
                else:
                    assert path.name[-8:] in known, path
                    assert list(path.glob("frame_*.png")), f"{path} is empty"

    def _has_its_clip(self, each: Any) -> None:
        shown = [element.filename for element in each.strip.elements]
        job = pump().session.jobs.get(each.ticket.job)
        if not each.filled:
            assert job is not None, each.ticket
            known_to_fail = "fail:" in job.request.prompt  # its strip may be red from an earlier Blender
            assert job.state.name == "FAILED" or known_to_fail or job.id in self.kept["given_up"], job
            assert each.strip.color_tag == part("blender.clips").FAILED_COLOR, job
            return
        names = [part("machine.frame_folder").frame_name(index) for index in each.ticket.shown]
        assert set(shown) <= set(names), (shown, names)
        assert all((each.folder / name).is_file() for name in shown), each.folder

    def _asked(self) -> set[str]:
        """Clips that were asked for, and neither failed nor were given up by cancelling or by taking strips away."""
        jobs = pump().session.jobs
        for job in self.kept["asked"]:
            if job in jobs and jobs[job].state.name in ("FAILED", "CANCELLED"):
                self.kept["asked"][job] = jobs[job].state.name
        return {job for job, ended in self.kept["asked"].items() if not ended} - set(self.kept["given_up"])

    def _kept_somewhere(self) -> set[str]:
        saved = {job for jobs in self.kept["saved"].values() for job in jobs}
        return self._in_the_edit() | saved | set(pump().session.backend.finished)

    # Help ---------------------------------------------------------------------------------------------------

    def _in_the_edit(self) -> set[str]:
        return {job for each in part("blender.clips").held() for job in each.ticket.jobs}

    def _parents(self) -> Iterator[Path]:
        for parent in (*PROJECTS.glob("*/elevator"), part("blender.clips").spare_folder()):
            if parent.is_dir():
                yield parent

    def _any_strip(self, kind: str = "") -> Any:
        """One of the strips that lie open before the artist, or None."""
        strips = part("blender.strips")
        there = [each for each in strips.strips_of(strips.open_holder(scene())) if kind in ("", each.type)]
        return self.draw.choice(there) if there else None

    def _select(self, strip: Any) -> None:
        part("blender.strips").select_only(scene(), strip)

    def _edit(self, name: str, then: Callable[[], None] | None = None, **options: Any) -> None:
        """One of Blender's own operators, and its undo step: headless Blender crashes if it is to push that itself."""
        with sequencer() as ops:
            operator = getattr(ops, name)
            if not operator.poll():
                return
            with suppress(RuntimeError):  # nothing to do
                operator(**options)
        if then is not None:
            then()
        bpy.ops.ed.undo_push(message=name)

    def _select_any(self) -> Any:
        strip = self._any_strip()
        if strip is not None:
            self._select(strip)
        return strip

    def _keep(self) -> None:
        self._asked()
        self.file.write_text(json.dumps(self.kept), encoding="utf-8")

    def go(self) -> None:
        """Begin, or go on after a death."""
        if self.kept["step"] == 0:
            for name in ("first", "second"):
                open_project(f"walk {name}")
                self.kept["saved"][bpy.data.filepath] = []
        elif self.kept["now"]:
            self._opened(self.kept["now"])
        else:
            self._begin()
        while self.kept["step"] < SPEC["steps"]:
            self.step()
        FIGURES["done"] = self.kept["done"]


def _out_of_the_way() -> None:
    """Blender itself leaves copies, and what it takes out of a meta strip, on others; the artist moves them at once."""
    strips, placing = part("blender.strips"), part("clip.placing")
    holder = strips.open_holder(scene())
    for strip in list(strips.strips_of(holder)):
        others = [
            placing.Taken(other.channel, *strips.span(other)) for other in strips.strips_of(holder) if other != strip
        ]
        strip.channel = placing.free_from(strip.channel, others, *strips.span(strip), set())


def check_walk() -> None:
    sys.excepthook = _hook
    os.environ["ELEVATOR_FAKE_STEP_SECONDS"] = "0"
    Walk(SPEC["seed"]).go()
