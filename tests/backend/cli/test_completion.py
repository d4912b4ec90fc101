"""What a shell completes: each script is given to its shell, where there is one here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from backend.cli.completion import SHELLS
from tests.backend.commands import Call, caller


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(capsys)


@pytest.fixture
def script(call: Call, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The script of the shell that the test is given."""
    done = call("completion", request.param)
    assert (done.code, done.err) == (0, "")
    path = tmp_path / "script"
    path.write_text(done.out, encoding="utf-8")
    return path


def ask(shell: str, code: str, *words: object) -> list[str]:
    """What a shell prints, line by line."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    bare = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run([program, *bare, "-c", code, *map(str, words)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_only_options_that_take_a_value_wait_for_one_in_fish(call: Call) -> None:
    lines = call("completion", "fish").out.splitlines()
    quiet, out = ([line for line in lines if f" -l {name} " in line] for name in ("json", "out"))
    assert quiet
    assert not [line for line in quiet if " -r " in line]
    assert out
    assert all(" -r " in line for line in out)


TYPED = [
    (["gen"], {"generate"}),
    (["generate", "--neg"], {"--negative"}),
    (["generate", "a fox", "--method", ""], {"hold", "flow"}),
    (["service", "in"], {"install"}),
    (["--nothing"], set()),
    (["completion", "fi"], {"fish"}),
]


@pytest.mark.process
@pytest.mark.parametrize(("words", "found"), TYPED)
@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash(script: Path, words: list[str], found: set[str]) -> None:
    code = 'source "$0"; COMP_WORDS=(.venv/bin/video-elevator "$@"); COMP_CWORD=$#; _video_elevator'
    code += '; echo "${COMPREPLY[@]}"'
    assert set(ask("bash", code, script, *words)) == found


@pytest.mark.process
@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_reads_it_and_knows_the_command(script: Path) -> None:
    code = 'source "$1" && echo "${_comps[video-elevator]}"'
    assert ask("zsh", code, "zsh", script) == ["_bash_complete", "-o", "default", "-F", "_video_elevator"]


@pytest.mark.process
@pytest.mark.parametrize(("words", "found"), TYPED)
@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish(script: Path, words: list[str], found: set[str]) -> None:
    line = " ".join(["video-elevator", *(f'"{word}"' if " " in word else word for word in words)])
    said = ask("fish", f"source '{script}'; complete -C '{line}' | cut -f1")
    assert set(said) == found


@pytest.mark.parametrize("script", ["powershell"], indirect=True)
def test_powershell_is_told_all_of_it(script: Path) -> None:
    """Nobody reads it here."""
    text = script.read_text(encoding="utf-8")
    table = dict(re.findall(r"^        ('.*?') = (.*)$", text, re.MULTILINE))
    assert table["'generate --method'"] == "'hold', 'flow'"
    assert "'--negative'" in table["'generate'"]
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_is_in_every_script(call: Call, shell: str) -> None:
    commands = re.search(r"serve generate [\w ]+", call("completion", "bash").out)
    assert commands
    text = call("completion", shell).out
    assert all(re.search(rf"\b{name}\b", text) for name in commands[0].split())
    assert "@" not in text.replace("@{", "").replace("@(", "").replace("[@]", ""), "a place that was not filled"
