"""What README and docs say can be done as written: every command runs, every link and every path leads somewhere."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.backend.harness import LONG, ROOT, running

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "shared_protocol/PROTOCOL.md")),
    *(ROOT / name for name in ("elevator/embedded/MODEL_CARD.md", "tests/true_shapes/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMAND = re.compile(r"(?:python3? |\.venv/bin/\w|scripts/\w|pytest )")
"""How a command begins, in a block of its own or between backticks."""

ELSEWHERE = {
    'python3 install.py demo "a pumpkin moving right, blue background"': "test_demo.py runs it",
    "python3 install.py test": "it runs this test",
    "python3 install.py test --long": "it runs this test",
    "python3 install.py test --ui": "it runs this test",
    "python3 install.py package": "test_demo.py and tests/addon build the zip",
    "python3 install.py setup": "tests/install runs it",
    "python3 install.py uninstall": "tests/install uninstalls a copy",
    ".venv/bin/python scripts/locks.py": "it asks the package index; tests/install/test_locks.py reads what it wrote",
    "scripts/check": "install.py test runs it before the tests",
    "scripts/test": "it runs this test",
    "scripts/test fast": "tests/install looks at what it selects",
    "scripts/test fast -k NAME": "the same, with an option of pytest",
    ".venv/bin/video-elevator models get dreamshaper_animatelcm": "by test_model_commands.py",
    ".venv/bin/video-elevator service install --bind 0.0.0.0:5577 --authorize studio.pub": "by test_service.py",
    ".venv/bin/python -m elevator.embedded.training.export": "tests/embedded exports into a folder",
}
"""Commands that another test runs, or that would run this one."""
LONGER = re.compile(
    r"elevator (study|calibrate)|elevator\.(calibration|embedded\.training)\.|tests\.(benchmarks\.|parity|gpu)|pytest"
)
"""Commands that take minutes: `--help` shows that they are there and read their options."""
OURS = {".venv/bin/video-elevator": "backend", ".venv/bin/elevator": "elevator"}
"""The commands of the environment, and the module that each runs."""
REFUSED = {
    'elevator "a red fox in the snow"': "dreamshaper.safetensors",
    "models add dreamshaper.safetensors": "dreamshaper.safetensors",
    "serve --stay --bind": "",
}
"""Commands that need what no test has: whose first missing file they name."""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, content) of every fenced block."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(document: Path) -> list[str]:
    """Every command of a document, as written, in its order."""
    text = document.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for language, block in blocks(text) if not language for line in block.splitlines()]
    quoted = re.findall(r"`([^`\n]+)`", prose)
    found = [each.strip() for each in (*lines, *quoted) if COMMAND.match(each)]
    return list(dict.fromkeys(each for each in found if "COMMAND" not in each))


ALL = list(dict.fromkeys(each for document in DOCUMENTS for each in commands(document)))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the documents' readers have, and a backend that makes test pictures."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "shots.csv").write_text("prompt,frames\na red fox,2\na cat moving up,2\n", encoding="utf-8")
    (folder / "footage").mkdir()
    for k in range(1, 17):
        Image.new("RGB", (64, 64), (k * 10, 0, 0)).save(folder / "footage" / f"frame_{k:04d}.png")
    shutil.copytree(
        ROOT / "elevator" / "embedded" / "weights" / "lcm", folder / "elevator" / "embedded" / "weights" / "lcm"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELEVATOR_HOME", str(folder / "home"))
        patch.setenv("PYTHONPATH", str(ROOT))
        told = [sys.executable, "-c", "from backend.installer import readiness; readiness.tell_blender()"]
        assert call(folder, told).returncode == 0  # as `install.py setup` does
        with running("--stay"):
            yield folder


def call(workplace: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the reader's folder."""
    return subprocess.run(
        words, cwd=workplace, capture_output=True, text=True, encoding="utf-8", timeout=LONG, check=False
    )


def job_of(workplace: Path) -> str:
    """The name of a finished clip."""
    backend = [sys.executable, "-m", "backend"]
    made = call(workplace, [*backend, "generate", "a fox", "--frames", "2", "--detach", "--quiet"])
    assert made.returncode == 0, made.stderr
    job = made.stdout.split()[-1]
    waited = call(workplace, [*backend, "results", job, "--out", str(workplace / "made" / job)])
    assert waited.returncode == 0, waited.stderr
    return job


def words_of(command: str, workplace: Path) -> list[str]:
    """The words of a command, with a name of ours for each word in capitals."""
    words = shlex.split(command)
    if words[0] in OURS:  # install.py writes them, which tests/install looks at
        words[:1] = [sys.executable, "-m", OURS[words[0]]]
    given = {"FOLDER": str(workplace / "footage"), "NAME": "sketch"}
    if "JOB" in words:
        given["JOB"] = job_of(workplace)
    words = [given.get(word, word) for word in words]
    if words[0] in (".venv/bin/python", "python3", "python"):
        words[0] = sys.executable
    elif words[0] == "pytest":
        words[:1] = [sys.executable, "-m", "pytest"]
    elif words[0].startswith(".venv/bin/"):
        words[0] = str(ROOT / words[0])
    words = [str(ROOT / word) if word == "install.py" or word.startswith("scripts/") else word for word in words]
    return words


def prepare(command: str, workplace: Path) -> None:
    """What the lines before a command have left, whichever ran here."""
    keys = workplace / "home" / "config" / "keys"
    if out := re.search(r" --out (\w+)", command):
        shutil.rmtree(workplace / out[1], ignore_errors=True)
    if " key studio" in command:
        for file in keys.glob("studio.*"):
            file.unlink()
    if " profile studio" in command:
        if not (keys / "studio.key").exists():
            assert call(workplace, [sys.executable, "-m", "backend", "key", "studio"]).returncode == 0
        shutil.copy(keys / "studio.pub", workplace / "server.pub")
    if " --again" in command and not (workplace / command.split()[-1]).exists():
        first = next(each for each in ALL if f"--out {Path(command.split()[-1]).parent}" in each and "elevator" in each)
        assert call(workplace, words_of(first, workplace)).returncode == 0


def help_of(words: list[str]) -> str:
    """What `python -m MODULE … --help` prints, from this process: a new one would read torch again, each time."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* found in sys.modules", RuntimeWarning)  # another test has imported it
        patch.setattr(sys, "argv", [words[2], *words[3:]])
        with pytest.raises(SystemExit) as end:
            runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    assert end.value.code in (0, None)
    return said.getvalue()


@pytest.mark.parametrize("command", [each for each in ALL if each not in ELSEWHERE])
def test_every_command_runs_as_written(command: str, workplace: Path) -> None:
    words = words_of(command, workplace)
    prepare(command, workplace)
    if LONGER.search(command) or words[-1] in ("backend", "elevator", "key", "profile") or len(words) == 1:
        words = [*words, "--help"] if "--help" not in words else words
        words = words[: words.index("|")] + words[-1:] if "|" in words else words
        if words[1] == "-m" and "pytest" not in words:
            assert "usage: " in help_of(words)
            return
    missing = next((file for begin, file in REFUSED.items() if begin in command), None)
    if missing == "":
        words = [*words, "--help"]
    done = call(workplace, words)
    if missing:
        assert done.returncode == 1
        assert missing in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    else:
        assert done.returncode == 0, done.stderr or done.stdout


def test_what_runs_elsewhere_is_still_documented() -> None:
    assert set(ELSEWHERE) <= set(ALL)
    assert len(ALL) > 40


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_in_the_text_is_there(document: Path) -> None:
    rooms = "backend|blender_addon|docs|elevator|scripts|shared_protocol|tests"
    for path in re.findall(rf"`((?:{rooms})/[a-z][\w./-]*)", document.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_pythons_examples_are_right() -> None:
    """Each block of Python compiles, and every name that it imports exists."""
    for document in DOCUMENTS:
        for language, block in blocks(document.read_text(encoding="utf-8")):
            if language != "python" or "bpy" in block or "bl_ext" in block:  # Blender alone has them
                continue
            compile(block, document.name, "exec")
            for module, names in re.findall(r"^from (\S+) import (.*)$", block, re.MULTILINE):
                for name in names.split(", "):
                    assert hasattr(importlib.import_module(module), name), (document.name, module, name)
