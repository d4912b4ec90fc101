"""The queue's order, and what panel and preferences do with the backend."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import bpy
from harness import INSTALL_FILE, lay, open_project, part, press_generate, pump, slowly, tick_until


def _asked(operator: Any, **properties: Any) -> dict[str, str]:
    """What an operator asks before it is executed, as a click shows it; nothing if it does not ask."""
    asked: dict[str, str] = {}

    def invoke_confirm(_operator: Any, _event: Any, **more: str) -> set[str]:
        asked.update(more)
        return {"RUNNING_MODAL"}

    known = bpy.types.WindowManager.bl_rna.functions["invoke_confirm"].parameters
    clicked = SimpleNamespace(execute=lambda context: {"FINISHED"}, **properties)
    context = SimpleNamespace(window_manager=SimpleNamespace(invoke_confirm=invoke_confirm))
    operator.invoke(clicked, context, None)
    assert asked.keys() <= set(known.keys()), "this Blender asks with other words"
    return asked


def check_the_queue_has_an_order() -> None:
    open_project("order")
    with slowly():
        jobs = [press_generate(f"a fox {end}", frames=1) for end in ("fail:hang", "1", "2", "3")]
        tick_until(lambda: jobs[0].phase == "painting" and all(job.accepted for job in jobs))
        assert bpy.ops.elevator.move_clip(job=jobs[3].id, direction="FIRST") == {"FINISHED"}
        tick_until(lambda: [job.id for job in pump().session.lines[:4]] == [jobs[n].id for n in (0, 3, 1, 2)])
        assert bpy.ops.elevator.move_clip(job=jobs[1].id, direction="DOWN") == {"FINISHED"}
        tick_until(lambda: [job.id for job in pump().session.lines[:4]] == [jobs[n].id for n in (0, 3, 2, 1)])
        assert bpy.ops.elevator.move_clip(job=jobs[1].id, direction="UP") == {"FINISHED"}
        tick_until(lambda: [job.id for job in pump().session.lines[:4]] == [jobs[n].id for n in (0, 3, 1, 2)])
        lines = part("blender.queue_lines")
        lines.show(job.id for job in pump().session.lines)
        manager = bpy.context.window_manager
        manager.elevator_queue_index = 3
        lines.show(job.id for job in reversed(pump().session.lines))
        assert manager.elevator_queue[manager.elevator_queue_index].name == jobs[2].id, "the chosen one stays chosen"
        queue = part("blender.operators.queue")
        assert _asked(queue.CancelClip, job="")["message"].startswith("4 clips end")
        assert not _asked(queue.CancelClip, job=jobs[0].id)
        stop = _asked(part("blender.operators.backend").StopBackend)
        assert stop["message"] == "4 jobs of yours wait for the next start."
        bpy.ops.elevator.cancel(job="")
        tick_until(lambda: all(job.ended for job in jobs))
    try:
        bpy.ops.elevator.move_clip(job=jobs[0].id, direction="FIRST")
    except RuntimeError as error:
        refused = str(error)
    assert "backend" in refused or "does not wait" in refused, refused


def check_the_backend_is_asked_while_somebody_looks() -> None:
    open_project("looking")
    job = lay("a fox", frames=1).get("elevator_job")
    tick_until(lambda: pump().session.jobs[job].ended)
    pump().session.backend = None
    pump().tick()
    assert pump().session.backend is None, "nobody looks"
    pump().look_around()
    tick_until(lambda: pump().session.backend is not None)
    pump()._looked_at = float("-inf")
    tick_until(lambda: pump().tick() is None)
    assert bpy.ops.elevator.free_memory() == {"FINISHED"}
    assert not _asked(part("blender.operators.backend").StopBackend), "nobody's jobs wait"


BACKEND = """
import json, pathlib, sys
if sys.argv[1] == "doctor":
    print(json.dumps({"findings": [{"what": "a wheel is missing", "remedy": "mend it"}]}))
else:
    pathlib.Path(sys.argv[3]).write_bytes(b"")
"""
"""Quicker than the true one, which looks at every model; `doctor` and `report` have tests of their own."""


def drawn_findings() -> list[str]:
    """The sentences that panel and preferences show."""
    said: list[str] = []
    findings = part("blender.findings")
    real, findings.layouts = (
        findings.layouts,
        SimpleNamespace(text=lambda _layout, _context, text, icon="": said.append(text)),
    )
    try:
        findings.draw_findings(MagicMock(), bpy.context)
    finally:
        findings.layouts = real
    return said


def check_set_up_and_report() -> None:
    project = open_project("set-up")
    commands, told = pump().commands, INSTALL_FILE.read_text(encoding="utf-8")
    fake = project.parent / "backend" / "__main__.py"
    fake.parent.mkdir()
    fake.write_text(BACKEND, encoding="utf-8")
    INSTALL_FILE.write_text(json.dumps(json.loads(told) | {"root": str(project.parent)}), encoding="utf-8")
    bpy.ops.elevator.check_setup()
    assert commands.running == "doctor"
    assert pump().tick() is not None, "it is looked at again"
    tick_until(lambda: not commands.running, seconds=60)
    assert [finding.what for finding in commands.findings] == ["a wheel is missing"], commands.problem
    assert "A wheel is missing." in drawn_findings()
    bpy.ops.elevator.write_report()
    tick_until(lambda: not commands.running, seconds=60)
    assert commands.report.is_file(), commands.problem
    try:
        INSTALL_FILE.unlink()
        bpy.ops.elevator.check_setup()
        assert commands.problem.sentence == "The backend is not installed."
    finally:
        INSTALL_FILE.write_text(told, encoding="utf-8")


def check_the_log_is_opened() -> None:
    open_project("log")
    lay("a fox", frames=1)
    tick_until(lambda: not pump().session.busy)
    opened: list[str] = []
    shared = part("blender.operators.shared")
    real = shared.bpy
    path_open = lambda filepath: opened.append(filepath)  # noqa: E731 - stands in for an operator
    shared.bpy = SimpleNamespace(ops=SimpleNamespace(wm=SimpleNamespace(path_open=path_open)))
    try:
        assert bpy.ops.elevator.open_log() == {"FINISHED"}
    finally:
        shared.bpy = real
    assert opened[0].endswith(".log"), opened
