"""What every command line of the project has in common."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elevator.arguments import EXIT_UNREAD, EXIT_UNWRITTEN, ArgumentParser, nearest
from tests.unread import unread


@pytest.mark.parametrize(
    "command",
    [
        "lambda: print('a line') or 0",  # Python writes it at its end
        "lambda: print('a line', flush=True) or 0",
        "lambda: print('a line') or sys.exit(0)",
    ],
)
def test_a_reader_that_has_enough_gets_no_traceback(command: str, root: Path) -> None:
    script = f"import sys; from elevator.arguments import until_unread; sys.exit(until_unread({command}))"
    done = unread([sys.executable, "-c", script], root)
    assert (done.returncode, done.stderr) == (EXIT_UNREAD, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
@pytest.mark.parametrize("flush", [True, False])
def test_output_that_cannot_be_written_is_one_sentence(flush: bool, root: Path) -> None:
    script = (
        "import sys; from elevator.arguments import though_unread, until_unread\n"
        f"sys.exit(until_unread(lambda: {'though_unread(lambda: print(1)) or 0' if flush else 'print(1) or 0'}))"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=root, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == (0 if flush else EXIT_UNWRITTEN), "what is done is done"
    assert done.stderr == ("" if flush else "The output cannot be written: No space left on device.\n")


def test_what_is_done_is_done_though_nobody_reads_it(root: Path) -> None:
    script = (
        "import sys; from elevator.arguments import though_unread, until_unread\n"
        "sys.exit(until_unread(lambda: though_unread(lambda: print('a clip is saved')) or 0))"
    )
    done = unread([sys.executable, "-c", script], root)
    assert (done.returncode, done.stderr) == (0, "")


MODULES = ("backend", "elevator", "elevator.pictures.metrics", "elevator.pictures.animation")


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("module", MODULES)
def test_no_encoding_ends_a_command(module: str, encoding: str, root: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes it")
@pytest.mark.parametrize("words", ["--version", "--no-such-option"])
def test_without_an_output_a_command_ends_as_with_one(words: str, root: Path) -> None:
    for closed in (">&-", ">&- 2>&-"):
        said = subprocess.run(
            ["sh", "-c", f'"$0" -m backend {words} {closed}', sys.executable],
            cwd=root,
            capture_output=True,
            check=False,
        )
        assert said.returncode == (0 if words == "--version" else 2)
        assert b"Traceback" not in said.stderr


@pytest.fixture
def parser() -> ArgumentParser:
    made = ArgumentParser(prog="tool")
    commands = made.add_subparsers()
    command = commands.add_parser("generate")
    command.add_argument("prompt", nargs="?")
    command.add_argument("--overwrite", action="store_true")
    command.add_argument("--method", choices=("hold", "flow"))
    return made


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["generate", "a", "red", "fox"], '; put the prompt into quotes: "a red fox"'),
        (["generate", "a fox", "--overwritte"], '; did you mean "--overwrite"?'),
        (["generrate", "a fox"], '; did you mean "generate"?'),
        (["generate", "--method", "hould"], '; did you mean "hold"?'),
        (["generate", "--zzzz"], "--zzzz"),
    ],
)
def test_what_was_meant_is_said(
    parser: ArgumentParser, words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parser.parse_args(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(hint)


def test_only_what_looks_alike_is_near() -> None:
    assert nearest("plan", ["plain", "neon"]) == "plain"
    assert nearest("", ["plain"]) is None
    assert nearest("watercolour", ["plain", "neon"]) is None
