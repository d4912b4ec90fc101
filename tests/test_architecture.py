"""The rooms of the house and the doors between them; README has the map."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import shared_protocol
from elevator._version import VERSION

ROOT = Path(__file__).resolve().parents[1]
OURS = {"shared_protocol", "elevator", "backend", "blender_addon"}
STDLIB = set(sys.stdlib_module_names)
INSTALLER_NEEDS = {"shared_protocol", "shared_protocol.machine", "elevator.arguments"}


def modules(*places: str) -> list[Path]:
    """The Python files of these folders or files."""
    paths = [ROOT / place for place in places]
    return sorted(file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]))


def imports(file: Path) -> Iterator[str]:
    """Full names of everything that a file imports, wherever in it."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield module
            yield from (f"{module}.{name.name}" for name in node.names)


def tops(file: Path) -> set[str]:
    """First parts of the names that a file imports."""
    return {name.split(".")[0] for name in imports(file)}


def calls(file: Path) -> Iterator[tuple[str, set[str]]]:
    """Everything that a file calls, as written, with the names of the keywords given."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {f"{word.arg}={ast.unparse(word.value)}" for word in node.keywords}


def sources() -> list[Path]:
    """Text files of the project: those that git knows, or all where there is no git or no clone."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        paths = [path for room in (*OURS, "tests", "docs", ".ci") for path in (ROOT / room).rglob("*")]
        paths += ROOT.glob("*.*")
    else:
        paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


BINARY = {".safetensors", ".png", ".mp4", ".npz", ".blend", ".pyc"}


DOORS: dict[str, set[str]] = {
    "shared_protocol": {"shared_protocol.machine"},
    "shared_protocol.machine": {"shared_protocol"},  # errors alone: see test_what_the_installer_needs_…
    "elevator": {f"elevator.{room}" for room in ("chain", "checkpoints", "cli", "cost", "embedded", "models")}
    | {"elevator.pictures", "elevator.presets"},
    "elevator.chain": {"elevator"},
    "elevator.checkpoints": {"elevator"},
    "elevator.presets": {"elevator"},
    "elevator.pictures": {"elevator"},
    "elevator.text": {"elevator", "elevator.checkpoints"},
    "elevator.models": {"elevator", "elevator.chain", "elevator.checkpoints", "elevator.presets", "elevator.text"},
    "elevator.cost": {"elevator", "elevator.chain", "elevator.checkpoints", "elevator.models", "elevator.text"},
    "elevator.calibration": {"elevator", "elevator.chain", "elevator.cost", "elevator.models", "elevator.presets"}
    | {"elevator.study"},
    "elevator.cli": {"elevator", "elevator.calibration", "elevator.checkpoints", "elevator.embedded", "elevator.models"}
    | {"elevator.pictures", "elevator.presets", "elevator.study", "elevator.text"},
    "elevator.study": {"elevator", "elevator.chain", "elevator.cost", "elevator.embedded", "elevator.models"}
    | {"elevator.embedded.small_world", "elevator.pictures"},
    "elevator.embedded": set(),
    "elevator.embedded.small_world": set(),
    "elevator.embedded.training": {"elevator", "elevator.models", "elevator.pictures"}
    | {"elevator.presets", "elevator.embedded.small_world", "elevator.study"},
    "backend": {"shared_protocol", "shared_protocol.machine", "elevator", "elevator.pictures", "backend.cli"},
    "backend.styles": {
        "shared_protocol",
        "shared_protocol.machine",
        "elevator",
        "elevator.checkpoints",
        "elevator.pictures",
        "elevator.presets",
        "backend",
    },
    "backend.models": {
        "shared_protocol",
        "shared_protocol.machine",
        "elevator",
        "elevator.checkpoints",
        "elevator.presets",
        "backend",
    },
    "backend.server": {"shared_protocol", "shared_protocol.machine", "elevator", "elevator.checkpoints"}
    | {"elevator.pictures", "elevator.presets", "elevator.text"}
    | {"backend", "backend.installer", "backend.styles"},  # of the installer: which build of torch is there
    "backend.worker": {"shared_protocol", "shared_protocol.machine", "elevator", "elevator.checkpoints"}
    | {"elevator.cost", "elevator.models", "elevator.pictures", "elevator.text", "backend"},
    "backend.client": {"shared_protocol", "shared_protocol.machine", "elevator", "elevator.pictures", "backend"},
    "backend.cli": {"shared_protocol", "shared_protocol.machine", "elevator", "elevator.checkpoints", "elevator.cli"}
    | {"elevator.cost", "elevator.pictures", "elevator.presets", "backend", "backend.client", "backend.server"}
    | {"backend.installer", "backend.models", "backend.styles"},
    "backend.installer": {"shared_protocol", "shared_protocol.machine"},
    "blender_addon": {"blender_addon.machine", "blender_addon.blender"},
    "blender_addon.api": {"shared_protocol", "blender_addon.blender", "blender_addon.clip", "blender_addon.machine"},
    "blender_addon.clip": {"shared_protocol"},
    "blender_addon.machine": {"shared_protocol", "shared_protocol.machine", "blender_addon.clip"}
    | {"blender_addon.blender"},  # the pump lays strips, the timer is Blender's
    "blender_addon.blender": {"shared_protocol", "shared_protocol.machine", "blender_addon.clip"}
    | {"blender_addon.machine"},
    "blender_addon.tools": set(),
}
"""Which rooms of the project each room imports: no others, and none that it does not. A room is a folder without those
in it that are rooms themselves. Server, worker and client import nothing of each other; the cli alone knows two."""


def name_of(file: Path) -> str:
    """A file's module."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The innermost room that a module lies in."""
    return max((room for room in DOORS if module == room or module.startswith(f"{room}.")), key=len)


def test_rooms_have_just_these_doors() -> None:
    found: dict[str, set[str]] = {room: set() for room in DOORS}
    for file in modules(*OURS):
        here = room_of(name_of(file))
        found[here] |= {room_of(name) for name in imports(file) if name.split(".")[0] in OURS} - {here}
    assert found == DOORS


def imported_at_once(file: Path, known: set[str]) -> Iterator[str]:
    """Modules of ours that a file imports while it is imported itself, not later in a function or for types alone."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            for each in node.names:
                yield f"{module}.{each.name}" if f"{module}.{each.name}" in known else module
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def test_no_modules_import_each_other() -> None:
    known = {name_of(file) for file in modules(*OURS)}
    graph = {
        name_of(file): {each for each in imported_at_once(file, known) if each in known and each != name_of(file)}
        for file in modules(*OURS)
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


PICTURES = ("animation", "clip_folder", "conform", "flow", "footage", "metrics", "png", "rates", "sheet")


@pytest.mark.process
@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("backend.server.server", {"torch", "numpy", "cv2"}),
        ("backend.client", {"torch", "numpy", "cv2"}),
        ("backend.models.scanning, backend.models.getting, backend.models.bundle", {"torch", "numpy", "cv2"}),
        ("elevator.sources, elevator.plan, elevator.presets, elevator.errors", {"torch", "numpy", "cv2"}),
        (
            ", ".join(f"elevator.pictures.{name}" for name in PICTURES),
            {"torch"},
        ),
        ("elevator.sampler", {"diffusers", "transformers"}),
    ],
)
def test_what_is_light_stays_light(module: str, heavy: set[str]) -> None:
    code = f"import {module}, sys; print(*({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_clip_of_the_addon_is_pure() -> None:
    for file in modules("blender_addon/clip"):
        assert not tops(file) & {"bpy", "zmq", "os", "socket", "time", "subprocess"}, file


def test_addon_needs_what_blender_has_and_its_wheels() -> None:
    brought = {"bpy", "bl_ui", "addon_utils", "numpy", "zstandard", "zmq", "msgspec"}
    brought |= {"shared_protocol", "blender_addon"}
    for file in modules("blender_addon"):
        assert tops(file) <= STDLIB | brought, file


def test_shared_protocol_needs_only_zmq_and_msgspec() -> None:
    for file in modules("shared_protocol"):
        assert tops(file) <= STDLIB | {"zmq", "msgspec", "shared_protocol"}, file


def test_installer_needs_nothing_but_python() -> None:
    for file in modules("install.py", "backend/installer"):
        assert tops(file) <= STDLIB | {"backend", "elevator", "shared_protocol"}, file
        ours = {name for name in imports(file) if name.split(".")[0] in OURS}
        for name in ours:
            assert name.startswith("backend.installer") or any(
                name == need or name.startswith(f"{need}.") for need in INSTALLER_NEEDS
            ), (file, name)


def test_what_the_installer_needs_of_others_is_standard_library_too() -> None:
    for file in modules(
        "backend/__init__.py",
        "shared_protocol/__init__.py",
        "shared_protocol/errors.py",
        "shared_protocol/machine",
        "shared_protocol/starting.py",
        "elevator/arguments.py",
    ):
        others = {name for name in imports(file) if name.split(".")[0] not in STDLIB}
        assert all(name.startswith(("shared_protocol.errors", "shared_protocol.machine")) for name in others), file


def test_installer_is_written_for_python_3_10() -> None:
    needs = ("errors.py", "machine", "starting.py")
    ours = ("elevator/__init__.py", "elevator/arguments.py", *(f"shared_protocol/{need}" for need in needs))
    for file in modules("install.py", "backend/installer", *ours):
        ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 10))
        assert not tops(file) & {"tomllib"}, file


def test_backend_never_meets_blender() -> None:
    for file in modules("backend", "elevator", "shared_protocol"):
        assert "bpy" not in tops(file), file


ALONE: dict[str, set[str]] = {
    "import diffusers": {"elevator/models", "elevator/embedded/training"},
    "import peft": {"elevator/embedded/training"},
    "import transformers": {"elevator/models", "elevator/embedded/training", "elevator/text/tokenizer.py"},
    ".ROUTER": {"backend/server/mail.py"},
    ".DEALER": {"shared_protocol/client.py", "backend/server/worker_process.py", "backend/worker/process.py"},
    '"backend.worker.process"': {"backend/server/worker_process.py"},
    ".backward": {"elevator/embedded/training/loop.py"},
    "Pump": {"blender_addon/machine/timer.py"},
    ".add_image_strip": {"blender_addon/blender/clips.py"},
    ".new_image": {"blender_addon/blender/strips.py"},
    ".sequences": {"blender_addon/blender/strips.py"},
    ".sequences_all": {"blender_addon/blender/strips.py"},
    ".strips_all": {"blender_addon/blender/strips.py"},
    ".left_handle": {"blender_addon/blender/strips.py"},
    ".right_handle": {"blender_addon/blender/strips.py"},
    ".frame_final_start": {"blender_addon/blender/strips.py"},
    ".frame_final_end": {"blender_addon/blender/strips.py"},
    ".frame_final_duration": set(),
    "bpy.app.version": {"blender_addon/tools/demo.py"},  # to tell which Blender made the film
}
"""Files and whole folders that alone import, name or ask for a thing. So docstrings may say "the only" and "the one":
the server's socket and the client's, who starts workers, the training loop, the pump, who adds strips, who knows how
Blenders differ."""


def named(file: Path) -> set[str]:
    """What a file's code says, in the manner of `ALONE`."""
    names = {f"import {name}" for name in tops(file)}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name):
                names.add(name)
            case ast.Attribute(attr=name):
                names |= {f".{name}", ast.unparse(node)}
            case ast.Constant(value=str(text)):
                names.add(f'"{text}"')
    return names


def test_what_one_place_alone_knows() -> None:
    found: dict[str, set[str]] = {name: set() for name in ALONE}
    for file in modules(*OURS, "install.py"):
        path = file.relative_to(ROOT).as_posix()
        for name in named(file) & ALONE.keys():
            found[name].add(next((place for place in ALONE[name] if path.startswith(f"{place}/")), path))
    assert found == ALONE


def test_the_product_needs_no_training() -> None:
    training = "elevator.embedded.training"
    others = [file for file in modules(*OURS) if ROOT / "elevator/embedded/training" not in file.parents]
    assert {training} < {name for file in modules("tests/embedded") for name in imports(file)}, "it would be seen"
    for file in others:
        assert not any(name == training or name.startswith(f"{training}.") for name in imports(file)), file


@pytest.mark.parametrize("file", modules("blender_addon"), ids=lambda file: file.name)
def test_addon_keeps_blenders_manners(file: Path) -> None:
    assert not tops(file) & {"threading", "concurrent", "multiprocessing", "asyncio", "pip"}
    assert not {"eval", "exec", "compile", "__import__"} & {name for name, _ in calls(file)}
    assert not re.search(r"sys\.path\b(?!_)", file.read_text(encoding="utf-8"))


def test_one_file_knows_how_words_of_commands_are_read() -> None:
    """Beside the script that packs the add-on, which may need nothing of the sampler."""
    makers = {
        file.relative_to(ROOT).as_posix()
        for file in modules(*OURS, "install.py", "tests")
        if any(name.endswith("argparse.ArgumentParser") for name, _ in calls(file))
        or "argparse.ArgumentParser" in imports(file)
    }
    assert makers == {"blender_addon/tools/packing.py"}


@pytest.mark.slow
def test_no_pickles() -> None:
    for file in modules(*OURS, "install.py"):
        assert not tops(file) & {"dill", "shelve", "marshal", "joblib"}, file
        # To catch the error of libraries that read pickles safely is no use of pickles.
        pickles = {name for name in imports(file) if name.split(".")[0] == "pickle"}
        assert pickles in (set(), {"pickle", "pickle.UnpicklingError"}), file
        for name, keywords in calls(file):
            assert name != "torch.load" or "weights_only=True" in keywords, file


def test_nothing_names_this_machine_or_a_registry() -> None:
    """Paths and hosts of the machine on which something was written are wrong on every other."""
    forbidden = re.compile(r"/work/|/root/|/opt/wheels|/opt/pypi|pypi\.org|files\.pythonhosted|deb\.debian")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sources()
        if path != Path(__file__).resolve()
        and (match := forbidden.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert not found


def test_the_product_has_one_name_for_people() -> None:
    """`video_elevator` is its id, `VideoElevator` the method that it runs."""
    here = Path(__file__).resolve()
    texts = [path for path in sources() if path != here]
    assert not [path for path in texts if "Video Elevator" in path.read_text(encoding="utf-8", errors="replace")]


def test_all_parts_carry_one_version() -> None:
    manifest = tomllib.loads((ROOT / "blender_addon" / "blender_manifest.toml").read_text(encoding="utf-8"))
    assert manifest["version"] == shared_protocol.VERSION == VERSION
    assert f"version: {VERSION}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
