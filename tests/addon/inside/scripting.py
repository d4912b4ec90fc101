"""The add-on for scripts: `api`, and what a Blender without a window does."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import bpy
from harness import (
    CONNECTION_FILE,
    HOME,
    MODULE,
    PROJECTS,
    SLOW,
    all_strips,
    generate,
    install,
    open_project,
    part,
    pump,
    refuse,
    scene,
    tick_until,
)

__all__ = ["install"]


def api() -> Any:
    """What scripts import."""
    return importlib.import_module(f"{MODULE}.api")


def _error(call: Any) -> Any:
    """What a call of the module raises."""
    caught: Any = None
    try:
        call()
    except api().ElevatorError as error:
        caught = error
    assert caught is not None, "it should have been refused"
    assert caught.code in api().CODES, caught.code
    return caught


def span(strip: Any) -> tuple[int, int]:
    return tuple(part("blender.strips").span(strip))


def check_submit_and_wait() -> None:
    open_project("submit")
    clip = api().submit("a fox", negative_prompt="snow", style="sketch", frames=2, seed=3, frame_start=20, channel=4)
    assert not clip.ended, "it does not block"
    assert clip.strip.channel == 4
    assert clip.wait() == clip.strip
    assert (clip.state, clip.error, clip.progress, clip.seed) == ("done", None, 1.0, 3)
    assert span(clip.strip) == (20, 22)
    request = part("blender.clips").ticket_of(clip.strip).request
    assert (request.style, request.negative_prompt) == ("sketch", "snow")
    assert len(list(clip.folder.glob("frame_*.png"))) == 2
    assert api().find(clip.job[:6]) == clip in api().all_clips()
    assert api().styles()[0].name == "plain"


def check_errors_have_codes() -> None:
    open_project("codes")
    submit = api().submit
    assert _error(lambda: submit(" ")).code == "empty_prompt"
    assert _error(lambda: submit("a fox", style="nope")).code == "unknown_style"
    assert _error(lambda: submit("a fox", width=63)).code == "size_out_of_range"
    assert _error(lambda: submit("a fox", frames=5000)).code == "frames_out_of_range"
    assert _error(lambda: submit("a fox", loras="ink:10")).code == "bad_request"
    assert _error(lambda: submit("a fox", loras="ink:heavy")).sentence.startswith("lora: 'ink:heavy' is no LoRA")
    assert _error(lambda: submit("a fox", settings={"a": 1, "a.b": 2})).code == "bad_request"
    for name in ("fit", "place", "rate"):
        said = _error(lambda name=name: submit("a fox", **{name: "nope"}))
        assert (said.code, said.sentence) == ("bad_request", f'"nope" is no {name}.')
    assert _error(lambda: api().find("0000")).code == "unknown_job"
    misspelt = ""
    try:
        submit("a fox", widht=64)
    except TypeError as error:
        misspelt = str(error)
    assert "widht" in misspelt
    assert not all_strips()
    clip = submit("a fox fail:out_of_memory", frames=2)
    said = _error(clip.wait)
    assert (said.code, said.sentence, said.next_step) == (
        "out_of_memory",
        clip.error.sentence,
        clip.error.next_step,
    )
    assert said.sentence.endswith(".")
    assert said.next_step.endswith(".")
    assert clip.strip.name.startswith("Failed: "), "the edit says so at once"


def check_a_clip_tells_what_it_is() -> None:
    open_project("told")
    clip = api().submit("a fox unknown:flurble", frames=2, seed=7)
    assert clip.wait() is not None
    assert repr(clip) == f"Clip({clip.job}, done)"
    assert len({clip, api().find(clip.job)}) == 1
    assert (clip.prompt, clip.frames, clip.status) == ("a fox unknown:flurble", 2, "In the edit")
    assert any("flurble" in warning for warning in clip.warnings)


@contextmanager
def _with(name: str, **changes: Any) -> Iterator[None]:
    """What a module of the add-on asks of Blender's application is answered otherwise."""
    module = part(name)
    real = module.bpy
    told = {"background": True, "is_job_running": lambda _kind: False, **changes}
    module.bpy = SimpleNamespace(app=SimpleNamespace(**told), context=bpy.context, data=bpy.data)
    try:
        yield
    finally:
        module.bpy = real


def check_nothing_is_waited_for_where_that_would_be_in_the_way() -> None:
    open_project("in the way")
    with _with("api.asking", background=False), _with("api.clip", background=False):
        pump().do(pump().session.part())
        assert api().connect() is None, "it comes soon"
        tick_until(lambda: pump().session.link.name == "READY")
        (clip,) = api().batch([{"prompt": "a fox", "frames": 2}])
        assert not clip.ended, "an artist goes on meanwhile"
        assert _error(clip.wait).code == "has_window"
    with _with("api.clip", is_job_running=lambda kind: kind == "RENDER"):
        assert _error(clip.wait).code == "render_running"
    clip.wait()


def check_a_backend_that_cannot_be_had_is_said() -> None:
    open_project("nobody")
    api().connect("")
    known = json.loads(CONNECTION_FILE.read_text(encoding="utf-8")) | {"pid": 0, "started": None, "endpoint": "nowhere"}
    profile = HOME / "config" / "profiles" / "nowhere.json"
    profile.parent.mkdir(exist_ok=True)
    profile.touch(mode=0o600)
    profile.write_text(json.dumps(known), encoding="utf-8")
    try:
        said = _error(lambda: api().connect("nobody"))
        assert (said.code, said.sentence) == ("no_backend", 'There is no profile "nobody".')
        assert "profile nobody --endpoint" in said.command
        said = _error(lambda: api().connect("nowhere"))
    finally:
        pump().use(replace(pump().serving, profile=""))
    assert said.code == "no_backend", said
    assert said.sentence.startswith("The connection cannot be opened: Invalid argument"), said
    api().connect("")
    assert pump().session.link.name == "READY"


def check_a_clip_whose_file_is_left_is_not_waited_for() -> None:
    open_project("left behind")
    clip = api().submit(f"a fox {SLOW}", frames=2)
    bpy.ops.wm.save_mainfile()
    open_project("gone on")
    error = _error(clip.wait)
    assert (error.code, clip.state, clip.strip) == ("no_strip", "made", None)


def check_without_a_scene_nothing_is_laid_down() -> None:
    """From Blender 5.0 on a sequencer may show none."""
    strips = part("blender.strips")
    real, strips.sequencer_scene = strips.sequencer_scene, lambda context: None
    try:
        assert _error(lambda: api().submit("a fox")).code == "no_scene"
    finally:
        strips.sequencer_scene = real


def check_the_operator_says_the_code() -> None:
    open_project("operator's codes")
    assert refuse(prompt="a fox", style="nope").endswith("[unknown_style]")
    assert refuse(prompt="a fox fail:out_of_memory", frames=2).endswith("[out_of_memory]")


def check_handlers_are_told() -> None:
    open_project("handlers")
    a, told = api(), []

    def broken(clip: Any) -> None:
        told.append(("broken", clip.state))
        raise ValueError("a script's mistake")

    def waits(clip: Any) -> None:
        told.append((_error(clip.wait).code, clip.state))

    a.on_progress.append(lambda clip: told.append(("progress", clip.state)))
    a.on_arrival += [broken, waits, lambda clip: told.append(("arrival", clip.strip.elements[0].filename))]
    a.on_failure.append(lambda clip: told.append(("failure", clip.error.code)))
    try:
        one = a.submit("a fox", frames=2)
        one.wait()
        two = a.submit("a fox fail:out_of_memory", frames=2)
        _error(two.wait)
    finally:
        for handlers in (a.on_progress, a.on_arrival, a.on_failure):
            handlers.clear()
    assert ("progress", "running") in told
    ends = [each for each in told if each[0] != "progress"]
    assert ends == [
        ("broken", "done"),
        ("in_handler", "done"),
        ("arrival", "frame_0001.png"),
        ("failure", "out_of_memory"),
    ], told


def check_a_time_limit_ends_the_wait_and_not_the_clip() -> None:
    open_project("limit")
    clip = api().submit(f"a fox {SLOW}", frames=2)
    error = _error(lambda: clip.wait(timeout=0.3))
    assert error.code == "timeout", error
    assert str(error) == "After 0.3 seconds 1 clips are not finished. They go on: wait again. [timeout]"
    assert not clip.ended
    clip.cancel()
    assert _error(clip.wait).code == "cancelled"


def check_batch_of_mappings() -> None:
    open_project("batch")
    table = [
        {"prompt": "a fox", "frames": 2, "seed": 1},
        {"prompt": "a hare fail:out_of_memory", "frames": 2},
        {"prompt": "an owl", "frames": 3, "channel": 5},
        {"prompt": "a cat", "frames": 2, "frame_start": 50, "style": "sketch"},
    ]
    with redirect_stdout(io.StringIO()) as told:
        clips = api().batch(table, frame_start=10, style="plain")
    numbers = set(re.findall(r"clip (\d+) of (\d+)", told.getvalue()))
    assert numbers == {(str(number), str(len(table))) for number in range(1, len(table) + 1)}, told.getvalue()
    assert [clip.state for clip in clips] == ["done", "failed", "done", "done"]
    assert [span(clip.strip) for clip in clips] == [(10, 12), (12, 14), (14, 17), (50, 52)]
    assert clips[2].strip.channel == 5
    assert clips[1].error.code == "out_of_memory"
    styles = [part("blender.clips").ticket_of(clip.strip).request.style for clip in clips]
    assert styles == ["plain", "plain", "plain", "sketch"]
    assert [clips.count(clip) for clip in clips] == [1, 1, 1, 1]
    assert clips[0] == api().find(clips[0].job)
    assert clips[0] != clips[0].job


def check_batch_of_a_file_is_checked_first() -> None:
    project = open_project("batch file")
    table = project.parent / "prompts.csv"
    table.write_text("prompt;style;frames;seed;guidance\na fox;sketch;2;3;7,5\n;;;;\na hare;;2;;\n", encoding="utf-8")
    one, two = api().batch(table)
    request = part("blender.clips").ticket_of(one.strip).request
    assert (request.style, request.seed, request.settings) == ("sketch", 3, {"guidance": 7.5})
    assert two.state == "done"
    table.write_text("prompt,style\na fox,sketch\na hare,nope\n", encoding="utf-8")
    before = len(all_strips())
    error = _error(lambda: api().batch(table))
    assert (error.code, error.sentence[:7]) == ("batch_refused", "Row 2: "), error
    assert len(all_strips()) == before
    assert _error(lambda: api().batch(project.parent / "none.csv")).code == "batch_refused"
    table.write_text("prompt,prompt\na fox,a hare\n", encoding="utf-8")
    error = _error(lambda: api().batch(table))
    assert (error.code, error.sentence) == (
        "batch_refused",
        'prompts.csv: It cannot be used: it has two columns "prompt".',
    )


def check_batch_that_ends_midway_leaves_nothing() -> None:
    open_project("midway")
    rows = [{"prompt": f"a fox {SLOW}", "frames": 2}, {"prompt": "a hare", "frames": 2, "channel": 129}]
    assert _error(lambda: api().batch(rows)).code == "no_channel"
    assert not all_strips()
    clip = api().all_clips()[-1]
    assert clip.prompt == f"a fox {SLOW}"
    tick_until(lambda: clip.ended)
    assert clip.error.code == "cancelled"


def check_clips_of_the_backend_are_inserted() -> None:
    open_project("first")
    made = api().submit("a fox in snow", frames=2, seed=9)
    made.wait()
    open_project("second")
    pump().session.jobs.clear()
    pump().session.backend.finished.clear()
    clip = api().insert(made.job[:8], frame_start=7)
    clip.wait()
    assert clip.job == made.job
    assert span(clip.strip) == (7, 9)
    assert clip.folder.is_relative_to(PROJECTS / "second")
    assert _error(lambda: api().insert("0123456789abcdef")).code == "unknown_job"
    alike = dict.fromkeys(("abcd" + "0" * 28, "abcd" + "1" * 28))
    for name, sentence in (("abcd", "Several clips' names begin with abcd."), ("abc", "No clip is named abc.")):
        said = _error(lambda name=name: part("api.inserting")._only(name, alike))
        assert (said.code, said.sentence) == ("unknown_job", sentence)


def check_folders_that_a_command_wrote_are_inserted() -> None:
    open_project("source")
    made = api().submit("a fox in snow", frames=4, seed=9)
    made.wait()
    project = open_project("target")
    outside = PROJECTS / "out" / "fox 1"
    shutil.copytree(made.folder, outside)
    record = {"settings": {"prompt": "a fox in snow", "fps": 4.0, "seed": 9, "style": "sketch"}}
    (outside / "clip.json").write_text(json.dumps(record), encoding="utf-8")
    clip = api().insert(outside, frame_start=3)
    assert (clip.state, clip.prompt, clip.seed) == ("done", "a fox in snow", 9)
    assert span(clip.strip) == (3, 11), "at 4 frames a second, in a scene of 8"
    assert clip.folder.parent == project.parent / "elevator"
    assert part("blender.clips").active(scene()).filled
    assert outside.is_dir(), "what a command wrote stays"
    inside = project.parent / "elevator" / "by_hand"
    shutil.copytree(made.folder, inside)
    clip = api().insert(inside, rate="CLIP")
    assert clip.folder == inside, "what lies there is not copied"
    assert span(clip.strip)[1] - span(clip.strip)[0] == 4
    assert _error(lambda: api().insert(project.parent)).code == "no_clip"
    bare = PROJECTS / "out" / "bare"
    shutil.copytree(made.folder, bare, ignore=shutil.ignore_patterns("*.json"))
    for fps, length in ((None, 4), (4, 8), ("8/2", 8)):
        strip = api().insert(bare, frame_start=50, fps=fps).strip
        assert span(strip) == (50, 50 + length), "without a rate each frame is one of the scene"
        part("blender.strips").remove(scene(), strip)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(project))
    tick_until(lambda: not pump().session.busy)
    assert {strip.elements[0].filename for strip in all_strips()} == {"frame_0001.png"}
    inserting, error = part("api.inserting"), part("machine.copying").CopyError

    def full(*_: Any) -> None:
        raise error("The disk is full.")

    copy, inserting.copy = inserting.copy, full
    try:
        assert _error(lambda: api().insert(outside)).code == "folder_unwritable"
    finally:
        inserting.copy = copy
    assert _error(lambda: api().insert(outside, channel=129)).code == "no_channel"
    clips, fault = part("blender.clips"), part("blender.clips").ClipError

    def vanished(*_: Any) -> None:
        raise fault("Frames are missing.")

    fill, clips.fill = clips.fill, vanished
    try:
        assert _error(lambda: api().insert(outside)).code == "frames_missing"
    finally:
        clips.fill = fill
    (outside / "frame_0001.png").unlink()
    (outside / "frame_0001.png").mkdir()
    said = _error(lambda: api().insert(outside))
    assert (said.code, said.sentence) == ("no_clip", f"{outside} cannot be read: Is a directory."), said
    assert len(all_strips()) == 2


def _press_ctrl_c_when(phase: str) -> None:
    """Send SIGINT to this process once a clip is in that phase."""

    def told(job: Any) -> None:
        if job.phase == phase and not pressed:
            pressed.append(job)
            os.kill(os.getpid(), signal.SIGINT)

    pressed: list[Any] = []
    part("machine.announcing").listeners.append(told)


def check_first_ctrl_c_cancels() -> None:
    """Blender itself takes the signal with `blender -b`: here as there a handler that is not Python's is in place."""
    open_project("interrupt")
    kept = generate("a fox", frames=1)
    get, put = part("machine.ctrl_c")._get, part("machine.ctrl_c")._set
    import ctypes

    heard: list[int] = []
    foreign = ctypes.CFUNCTYPE(None, ctypes.c_int)(heard.append)
    address = ctypes.cast(foreign, ctypes.c_void_p).value
    before, listeners = get(signal.SIGINT), part("machine.announcing").listeners
    put(signal.SIGINT, address)
    known = list(listeners)
    try:
        _press_ctrl_c_when("painting")
        try:
            api().batch([{"prompt": f"a fox {SLOW}", "frames": 2}, {"prompt": f"a hare {SLOW}", "frames": 2}])
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("it was not interrupted")
        assert get(signal.SIGINT) == address, "who had the signal has it again"
        assert [clip.state for clip in api().all_clips()[-2:]] == ["cancelled", "cancelled"]
        assert all_strips() == [kept]
        _press_ctrl_c_when("painting")
        said = refuse(prompt=f"a fox {SLOW}", frames=2)
        assert said.endswith("[interrupted]"), said
        assert get(signal.SIGINT) == address
        assert all_strips() == [kept]
    finally:
        put(signal.SIGINT, before)
        listeners[:] = known
    assert not heard
