"""The queue's order, and what panel and preferences do with the backend."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import subprocess
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import bpy
from harness import (
    HOME,
    INSTALL_FILE,
    MODULE,
    SLOW,
    addon_utils,
    all_strips,
    backend_pid,
    generate,
    job_of,
    kill_backend,
    lay,
    open_project,
    part,
    press_generate,
    pump,
    scene,
    tick_until,
    until,
)


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
    jobs = [press_generate(f"a fox {SLOW} {end}", frames=1) for end in ("fail:hang", "1", "2", "3")]
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
    pump().session.backend.status = None
    pump().tick()
    assert pump().session.backend.status is None, "nobody looks"
    pump().look_around()
    tick_until(lambda: pump().session.backend.status is not None)
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


MODELS = """
import json, pathlib, sys, time
here = pathlib.Path(__file__).parent
def tell(kind, **fields):
    print(json.dumps({"type": kind, **fields}), flush=True)
if sys.argv[2] == "list":
    tell("ModelSet", name="sd", title="SD", about="", size=5, missing=0 if (here / "got").exists() else 5, memory_gb=8)
elif sys.argv[2] == "get":
    tell("Fetching", bytes_done=2, bytes_total=5)
    while not (here / "go").exists():
        time.sleep(0.01)
    (here / "got").touch()
    tell("Added", name="sd")
elif sys.argv[2] == "scan":
    tell("FoundPair", t2i=sys.argv[-1] + "/a.ckpt", t2v=sys.argv[-1] + "/b.ckpt")
elif sys.argv[2] == "remove":
    (here / "got").unlink()
    tell("RemovedFile", size=5)
elif sys.argv[2] in ("verify", "repair"):
    tell("CheckedFile", path="a")
elif sys.argv[2] in ("export", "import"):
    tell("Bundle", path=sys.argv[-1], files=1, size=5)
else:
    (here / "added").write_text(" ".join(sys.argv[3:]))
    tell("Added", name="mine")
"""
"""What the backend says of models, without a hub. The commands themselves have tests of their own."""


def _polls(operator: str) -> bool:
    return bool(getattr(bpy.ops.elevator, operator).poll())


def check_models_are_got_and_found_with_a_click_each() -> None:
    project = open_project("models")
    models, told = pump().models, INSTALL_FILE.read_text(encoding="utf-8")
    fake = project.parent / "backend" / "__main__.py"
    fake.parent.mkdir()
    fake.write_text(MODELS, encoding="utf-8")
    INSTALL_FILE.write_text(json.dumps(json.loads(told) | {"root": str(project.parent)}), encoding="utf-8")
    try:
        assert bpy.ops.elevator.list_models() == {"FINISHED"}
        assert pump().tick() is not None, "it is looked at again"
        tick_until(lambda: models.sets is not None, seconds=60)
        scene().elevator.style_name = ""
        if bpy.app.online_access:
            asked = _asked(part("blender.operators.models").GetModels, name="sd")
            assert "0 MB are downloaded" in asked["message"], asked
            assert bpy.ops.elevator.get_models(name="sd") == {"FINISHED"}
            assert not _polls("scan_models"), "one command at a time"
            tick_until(lambda: models.progress is not None, seconds=60)
            (fake.parent / "go").touch()
            tick_until(lambda: models.sets[0].is_here, seconds=60)
            assert scene().elevator.style_name == "sd", "it had no style, so Generate makes a clip in this one"
        else:
            assert not _polls("get_models"), "Blender's user wants no connections"
        tick_until(lambda: not models.running, seconds=60)
        assert bpy.ops.elevator.scan_models(directory=str(project.parent)) == {"FINISHED"}
        tick_until(lambda: models.pairs is not None and not models.running, seconds=60)
        scene().elevator.style_name = "neon"
        pump()._looked_at = float("-inf")
        assert bpy.ops.elevator.add_models(index=0) == {"FINISHED"}
        tick_until(lambda: not models.running, seconds=60)
        assert pump()._looked_at > 0, "the backend is asked, and then tells of the new style"
        added = (fake.parent / "added").read_text(encoding="utf-8")
        assert added == f"--json -- {project.parent}/a.ckpt {project.parent}/b.ckpt", added
        assert models.problem is None
        assert scene().elevator.style_name == "neon", "it stays what the artist has chosen"
        assert bpy.ops.elevator.add_models(index=1) == {"CANCELLED"}
        for operator, given, said in (
            ("verify_models", {}, "All files are as they came: 1."),
            ("pack_models", {"filepath": str(project.parent / "pack")}, f"are packed in {project.parent}/pack.zip."),
            ("unpack_models", {"filepath": str(project.parent / "pack.zip")}, "are new here."),
        ):
            assert getattr(bpy.ops.elevator, operator)(**given) == {"FINISHED"}
            tick_until(lambda: not models.running, seconds=60)
            assert said in models.result, (operator, models.result, models.problem)
        if bpy.app.online_access:
            assert bpy.ops.elevator.repair_models() == {"FINISHED"}
            tick_until(lambda: not models.running, seconds=60)
            asked = _asked(part("blender.operators.models").RemoveModels, name="sd")
            assert "0 MB are deleted" in asked["message"], asked
            assert bpy.ops.elevator.remove_models(name="sd") == {"FINISHED"}
            tick_until(lambda: not models.running, seconds=60)
            assert not models.sets[0].is_here
    finally:
        INSTALL_FILE.write_text(told, encoding="utf-8")


def check_styles_are_made_and_changed_with_a_click_each() -> None:
    open_project("styles of one's own")
    generate("a fox", frames=1)  # from then on the backend's styles are known
    settings, styles, draft = scene().elevator, pump().styles, bpy.context.window_manager.elevator_style
    own = part("shared_protocol.machine.places").config_folder() / "styles" / "fog_am_fluss.toml"
    settings.style_name, settings.preset_name = "neon", "draft"
    bpy.ops.elevator.add_lora(lora="sketch")
    settings.loras[0].on, settings.loras[0].weight = False, 0.5
    settings.plan.use_guidance, settings.plan.guidance = True, 5.0
    assert not _polls("remove_style"), "it comes with the backend"
    assert bpy.ops.elevator.new_style(title="Fög am Fluss") == {"FINISHED"}
    assert not _polls("edit_style"), "one command at a time"
    _done(styles)
    assert settings.style_name == "fog_am_fluss", "it is chosen"
    made = tomllib.loads(own.read_text(encoding="utf-8"))
    assert (made["title"], made["preset"], made["plan"]) == ("Fög am Fluss", "draft", {"guidance": 5.0}), made
    assert [(lora["name"], lora.get("on", True)) for lora in made["loras"]] == [("neon", True), ("sketch", False)], made
    _told(settings)

    assert bpy.ops.elevator.edit_style() == {"FINISHED"}
    _done(styles)
    assert (draft.name, draft.title, draft.base, draft.preset) == ("fog_am_fluss", "Fög am Fluss", "embedded", "draft")
    assert [(lora.name, lora.on) for lora in draft.loras] == [("neon", True), ("sketch", False)]
    draft.lora_index = 1
    assert bpy.ops.elevator.remove_style_lora() == {"FINISHED"}
    assert bpy.ops.elevator.add_style_lora(lora="sketch") == {"FINISHED"}
    draft.prompt, draft.preset, draft.title = "fog", "fast", "t" * 64
    draft.loras[0].weight = 9.0  # the property's end
    lora = str(own.with_name("gone.safetensors"))
    assert bpy.ops.elevator.add_style_lora_file(filepath=lora) == {"FINISHED"}
    assert bpy.ops.elevator.save_style() == {"FINISHED"}
    _done(styles)
    assert "gone.safetensors" in styles.problem.sentence, styles.problem
    assert draft.name, "what was typed is not lost"
    assert bpy.ops.elevator.remove_style_lora() == {"FINISHED"}
    assert bpy.ops.elevator.save_style() == {"FINISHED"}
    _done(styles)
    assert styles.problem is None, styles.problem
    assert not draft.name
    made = tomllib.loads(own.read_text(encoding="utf-8"))
    assert (made["prompt"], made["preset"], made["plan"]) == ("{prompt}, fog", "fast", {"guidance": 5.0}), made
    assert [(lora["name"], lora["weight"]) for lora in made["loras"] if "weight" in lora] == [("neon", 4.0)], made

    _told(settings)
    assert bpy.ops.elevator.style_picture() == {"FINISHED"}
    _done(styles)
    assert styles.problem is None, styles.problem
    assert own.with_suffix(".png").is_file()
    tick_until(lambda: part("blender.properties").style_of(settings).thumbnail != "", seconds=60)
    assert bpy.ops.elevator.remove_style() == {"FINISHED"}
    _done(styles)
    assert not own.exists()
    settings.style_name = ""


def _done(styles: Any) -> None:
    """Wait for the end of a command. Nobody but Blender's timer calls the tick, and only if that asks for another."""
    deadline, again, made = time.monotonic() + 60, None, styles.made
    while styles.running:
        again = pump().tick()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert again is not None or styles.made == made, "the backend is asked for its styles in the next tick"
    looked_at = pump()._looked_at
    pump().tick()
    assert pump()._looked_at == looked_at, "once is enough"


def _told(settings: Any) -> None:
    """Wait until the backend has told of the style."""
    tick_until(lambda: part("blender.properties").style_of(settings) is not None, seconds=60)


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


def preferences() -> Any:
    return bpy.context.preferences.addons[MODULE].preferences


def check_folders_are_called_as_the_template_says() -> None:
    project = open_project("template")
    preferences().folder_template = "//ai clips/{style}-{job}"
    try:
        strip = generate("a fox", style="sketch", frames=1)
        folder = Path(bpy.path.abspath(strip.directory))
        assert folder.parent == project.parent / "ai clips"
        assert re.fullmatch(r"sketch-[0-9a-f]{8}", folder.name), folder
        bpy.ops.elevator.try_again(job=strip["elevator_job"], new_seed=True)
        job = job_of(all_strips()[0])
        tick_until(lambda: job.ended)
        assert Path(job.folder).parent == project.parent / "ai clips", job
        preferences().folder_template = "//clips/no-job"
        assert part("blender.preferences").template_problem(preferences().folder_template)
        strip = generate("a hare", frames=1)
        assert Path(bpy.path.abspath(strip.directory)).parent == project.parent / "elevator", "the usual one holds"
    finally:
        preferences().property_unset("folder_template")
    assert part("blender.clips").Folders.template.parent == "//elevator"


def check_default_style_is_the_first() -> None:
    open_project("default style")
    generate("a fox", frames=1)
    preferences().default_style = "sketch"
    try:
        assert scene().elevator.style == "sketch"
        assert part("blender.clips").ticket_of(generate("a fox", frames=1)).request.style == "sketch"
    finally:
        preferences().default_style = ""
        kill_backend()
    generate("a fox", frames=1)
    assert scene().elevator.style == "plain"


def check_a_profile_leads_to_another_machine() -> None:
    """The other machine is another home of the product on this one."""
    zmq = importlib.import_module("zmq")
    open_project("remote")
    generate("a fox", frames=1)
    there, told = HOME.parent / "other home", json.loads(INSTALL_FILE.read_text(encoding="utf-8"))
    public, secret = (key.decode() for key in zmq.curve_keypair())
    authorized = HOME / "studio.pub"
    authorized.write_text(public, encoding="utf-8")
    serve = [told["python"], "-m", "backend", "serve", "--fake", "--stay", "--bind", "127.0.0.1:0", "--authorize"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LD_"))}
    server = subprocess.Popen(
        [*serve, str(authorized)],
        cwd=told["root"],
        env=environment | {"ELEVATOR_HOME": str(there)},
        stdout=subprocess.DEVNULL,
    )
    try:
        file = there / "state" / "connection.json"
        until(file.is_file, 60.0)
        profile = json.loads(file.read_text(encoding="utf-8"))
        profile |= {"client_public": public, "client_secret": secret, "pid": 0, "started": None, "version": ""}
        place = HOME / "config" / "profiles" / "studio.json"
        place.parent.mkdir()
        place.touch(mode=0o600)
        place.write_text(json.dumps(profile), encoding="utf-8")
        preferences().profile = "studio"
        assert pump().session.link.name == "NONE", "nothing was being made: the other backend is left"
        strip = generate("a hare", frames=2)
        assert not pump().session.local
        assert len(list(Path(bpy.path.abspath(strip.directory)).glob("frame_*.png"))) == 2
        assert (there / "data" / "results" / strip["elevator_job"]).is_dir()
        assert not pump().session.jobs[strip["elevator_job"]].done.folder, "where files lie there is not told"
        generate("a hare again", frames=1, frame_start=1, footage=strip.name, strength=0.5)
        assert not pump().session.local, "the strip's pictures went there, too"
        part("api").connect("")
        assert pump().session.local
        part("api").connect("studio")
        preferences().profile = ""
        assert pump().session.link.name == "NONE"
    finally:
        preferences().profile = ""
        server.kill()
        server.wait()
    generate("an owl", frames=1)
    assert pump().session.local


def check_what_is_being_made_is_finished_where_it_is() -> None:
    open_project("changed over")
    strip, serving = lay(f"a fox {SLOW}", frames=2), pump().serving
    tick_until(lambda: job_of(strip).phase == "painting")
    try:
        pump().use(dataclasses.replace(serving, profile="elsewhere"))
        assert pump().session.link.name == "READY", "something is being made"
        tick_until(lambda: job_of(strip).ended)
        assert job_of(strip).state.name == "DONE"
        assert pump().session.link.name == "READY"
        next_one = lay("a hare", frames=2, frame_start=50)
        tick_until(lambda: job_of(next_one).ended)
        assert job_of(next_one).problem.sentence == 'There is no profile "elsewhere".'
    finally:
        pump().use(serving)


SLEEPS = "import time; time.sleep(600)"


def check_what_runs_ends_with_the_add_on() -> None:
    project = open_project("ends with it")
    told = INSTALL_FILE.read_text(encoding="utf-8")
    for name in ("__main__.py", "client/strip_pictures.py"):
        (project.parent / "backend" / name).parent.mkdir(exist_ok=True)
        (project.parent / "backend" / name).write_text(SLEEPS, encoding="utf-8")
    INSTALL_FILE.write_text(json.dumps(json.loads(told) | {"root": str(project.parent)}), encoding="utf-8")
    try:
        commands = pump().commands, pump().models, pump().styles
        commands[0].examine()
        commands[1].list()
        commands[2].show("plain")
        pictures = part("clip.pictures").Pictures(anchor=part("clip.pictures").Picture("/nowhere.png"))
        readings, job = pump()._readings, "a" * 32
        assert not list(readings.read(part("clip.actions").Read(job, pictures, 64, 64), ""))
        processes = [each._process._process for each in commands] + [readings._under_way[job]._process]
        assert [process.poll() for process in processes] == [None] * 4
        addon_utils.disable(MODULE)
        assert None not in [process.poll() for process in processes]
        addon_utils.enable(MODULE, default_set=True)
    finally:
        INSTALL_FILE.write_text(told, encoding="utf-8")


def check_backend_ends_with_blender_if_nobody_else_uses_it() -> None:
    open_project("ends")
    kill_backend()
    preferences().stop_with_blender = True
    job = lay(f"a fox {SLOW}", frames=1)
    tick_until(lambda: job_of(job).phase == "painting")
    pid, result = backend_pid(), HOME / "data" / "results" / job_of(job).id
    addon_utils.disable(MODULE)
    until(lambda: not _runs(pid))
    assert not result.exists(), "it has not waited for the clip"
    addon_utils.enable(MODULE, default_set=True)
    tick_until(lambda: not pump().session.busy)
    bpy.ops.elevator.start_backend()
    tick_until(lambda: pump().session.link.name == "READY")
    pid = backend_pid()
    pump()._own_session = ""  # as if another Blender had started it
    addon_utils.disable(MODULE)
    addon_utils.enable(MODULE, default_set=True)
    bpy.ops.elevator.start_backend()
    tick_until(lambda: pump().session.link.name == "READY")
    assert backend_pid() == pid, "it is another's"
    pump()._own_session = pump()._session_id
    other = _another_client()
    addon_utils.disable(MODULE)
    assert _runs(pid), "somebody else is there"
    addon_utils.enable(MODULE, default_set=True)
    bpy.ops.elevator.start_backend()
    tick_until(lambda: pump().session.link.name == "READY")
    pump()._own_session = pump()._session_id  # as if it had not been switched off
    other.send(part("clip.wish").Generate(job="a" * 32, prompt="a hare fail:hang", style="plain", **SMALL))
    tick_until(lambda: any(isinstance(each.message, part("clip.news").Accepted) for each in other.poll()))
    other.close()

    def alone() -> bool:
        pump().look_around()
        return pump().session.backend.status is not None and pump().session.backend.status.clients == 1

    tick_until(alone)
    addon_utils.disable(MODULE)
    addon_utils.enable(MODULE, default_set=True)
    bpy.ops.elevator.start_backend()
    tick_until(lambda: pump().session.link.name == "READY")
    assert backend_pid() == pid, "somebody else's job is there"
    preferences().stop_with_blender = False


SMALL = {"frames": 1, "width": 64, "height": 64, "seed": 1}


def _another_client() -> Any:
    """One that is connected to the backend as well."""
    process, module = part("machine.backend_process"), part("machine.pump")
    client = module.Client(process._running(), name="another")
    tick_until(lambda: any(client.poll()))
    return client


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z" if Path("/proc").is_dir() else True
