"""The rooms of the house and the doors between them; README has the map."""

from __future__ import annotations

import ast
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


@pytest.mark.parametrize(
    ("room", "doors"),
    [
        ("shared_protocol", set()),
        ("elevator", set()),
        ("backend", {"shared_protocol", "elevator"}),
        ("blender_addon", {"shared_protocol"}),
    ],
)
def test_rooms_have_only_these_doors(room: str, doors: set[str]) -> None:
    for file in modules(room):
        assert not (tops(file) & OURS) - doors - {room}, file


def test_addon_needs_what_blender_has_and_its_wheels() -> None:
    brought = {"bpy", "bl_ui", "addon_utils", "numpy", "zmq", "msgspec", "shared_protocol", "blender_addon"}
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
        "elevator/arguments.py",
    ):
        others = {name for name in imports(file) if name.split(".")[0] not in STDLIB}
        assert all(name.startswith("shared_protocol.errors") for name in others), file


def test_installer_is_written_for_python_3_10() -> None:
    needs = ("shared_protocol/machine", "shared_protocol/errors.py", "elevator/__init__.py", "elevator/arguments.py")
    for file in modules("install.py", "backend/installer", *needs):
        ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 10))
        assert not tops(file) & {"tomllib"}, file


def test_backend_never_meets_blender() -> None:
    for file in modules("backend", "elevator", "shared_protocol"):
        assert "bpy" not in tops(file), file


def test_one_folder_of_the_sampler_knows_diffusers() -> None:
    """Beside that of the embedded models, which trains them; the text's tokenizer is transformers' too."""
    files = [file.relative_to(ROOT / "elevator") for file in modules("elevator")]
    knowing = {file for file in files if tops(ROOT / "elevator" / file) & {"diffusers", "transformers", "peft"}}
    assert {file for file in knowing if file.parts[0] not in ("models", "embedded")} == {Path("text/tokenizer.py")}


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


def test_one_file_of_the_addon_knows_blenders_versions() -> None:
    known = re.compile(
        r"\.sequences\b|\.sequences_all\b|\bstrips_all\b|\bframe_final_|\bleft_handle\b|bpy\.app\.version\b"
    )
    knowing = {file.name for file in modules("blender_addon") if known.search(file.read_text(encoding="utf-8"))}
    assert knowing <= {"strips.py", "demo.py"}


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


def test_all_parts_carry_one_version() -> None:
    manifest = tomllib.loads((ROOT / "blender_addon" / "blender_manifest.toml").read_text(encoding="utf-8"))
    assert manifest["version"] == shared_protocol.VERSION == VERSION
    assert f"version: {VERSION}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
