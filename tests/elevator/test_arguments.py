"""What every command line of the project has in common."""

from __future__ import annotations

import argparse
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.arguments import ArgumentParser, nearest, until_unread, without_packages
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
    assert (done.returncode, done.stderr) == (141, "")


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
    assert done.returncode == (0 if flush else 1), "what is done is done"
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
        (["generate", "--overwritte=yes"], '; did you mean "--overwrite"?'),
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


def maker() -> ArgumentParser:
    made = ArgumentParser(exit_on_error=False)
    made.add_argument("--quiet", action="store_true")
    command = made.add_subparsers().add_parser("make")
    command.add_argument("prompt", nargs="?")
    command.add_argument("--negative")
    command.add_argument("--quietly", action="store_true")
    return made


@given(st.sampled_from(["-", "--", "@", "-h", "--q", ""]).flatmap(lambda start: st.text().map(start.__add__)))
def test_no_text_is_misread(text: str) -> None:
    if text.partition("=")[0] not in ("--", "-h", "--help", "--negative", "--quietly"):
        assert maker().parse_args(["make", "--negative", text]).negative == text
        assert maker().parse_args(["make", "--negative", "x", "--quietly", f"{text} x"]).prompt == f"{text} x"
    assert maker().parse_args(["make", f"--negative={text}"]).negative == text
    assert maker().parse_args(["make", "--", text]).prompt == text


def test_options_are_written_out() -> None:
    _, rest = maker().parse_known_args(["make", "--neg", "x", "--quiet"])
    assert rest == ["--neg", "--quiet"]


def test_a_slip_in_an_option_is_no_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        maker().parse_args(["make", "--quitely"])
    assert "unrecognized arguments: --quitely" in capsys.readouterr().err


@pytest.mark.process
@pytest.mark.parametrize(("module", "name"), [("backend", "video-elevator"), ("elevator", "elevator")])
def test_a_python_without_the_packages_is_told_which_to_use(module: str, name: str, root: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-S", "-m", module, "--help"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{sys.executable} does not have the package ")
    assert done.stderr.endswith(f': set everything up with "python3 install.py setup", then use ".venv/bin/{name}".\n')


def test_a_module_of_ours_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(ModuleNotFoundError):
        without_packages("video-elevator", ModuleNotFoundError(name="backend.cli.nowhere"))


@pytest.mark.parametrize(
    ("platform", "says"), [("linux", ("python3", ".venv/bin/")), ("win32", ("py", ".venv\\Scripts\\"))]
)
def test_which_python_to_use_is_told_as_each_system_writes_it(
    platform: str, says: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    said = without_packages("elevator", ModuleNotFoundError(name="torch.nn"))
    assert said == (
        f"{sys.executable} does not have the package torch.nn: set everything up with "
        f'"{says[0]} install.py setup", then use "{says[1]}elevator".'
    )
    for name in (None, "elevator.nowhere", "shared_protocol"):
        with pytest.raises(ModuleNotFoundError):
            without_packages("elevator", ModuleNotFoundError(name=name))


def test_words_are_those_of_the_process_where_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tool", "make", "a cat"])
    made = maker()
    assert made.parse_args().prompt == "a cat"
    assert list(made.words) == ["make", "a cat"]


@pytest.mark.parametrize(
    ("kind", "text", "says"), [(int, "1.5", '"1.5" is no whole number'), (float, "a", '"a" is no number')]
)
def test_what_is_no_number_is_said_in_words(
    kind: type, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ArgumentParser(prog="tool")
    made.add_argument("--size", type=kind)
    with pytest.raises(SystemExit):
        made.parse_args(["--size", text])
    assert capsys.readouterr().err.rstrip().endswith(f"argument --size: {says}")


def test_options_are_written_as_words_that_are_read_alike() -> None:
    made = ArgumentParser()
    made.add_argument("folder", nargs="?")
    made.add_argument("--name")
    made.add_argument("--fast", action="store_true")
    made.add_argument("--count", "-c", type=int, default=3)
    made.add_argument("--also", action="append")
    assert made.words_of(made.parse_args([])) == made.words_of(made.parse_args(["here", "--count", "3"])) == []
    words = ["--name=-x", "--fast", "--count=4", "--also=a", "--also=b=c"]
    options = made.parse_args(words)
    assert made.words_of(options) == words
    assert made.words_of(argparse.Namespace()) == []


class Closed(io.StringIO):
    """An output that cannot be written."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("platform", "number", "code"),
    [
        ("linux", errno.EPIPE, 141),
        ("win32", errno.EINVAL, 141),
        ("linux", errno.ENOSPC, 1),
        ("win32", errno.ENOSPC, 1),
        ("linux", errno.EIO, 1),
        ("linux", errno.EINVAL, None),
        ("linux", errno.EACCES, None),
    ],
)
def test_an_output_that_fails_ends_a_command_by_what_it_says(
    platform: str, number: int, code: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On Windows, a pipe whose reader has left is said to be an invalid argument."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        patch.setattr(sys, "stdout", Closed(OSError(number, os.strerror(number))))
        if code is None:
            with pytest.raises(OSError, match=os.strerror(number)):
                until_unread(lambda: 0)
        else:
            assert until_unread(lambda: 0) == code
    said = capsys.readouterr().err
    assert said == (f"The output cannot be written: {os.strerror(number)}.\n" if code == 1 else "")


def test_a_file_that_cannot_be_written_is_no_matter_of_the_output() -> None:
    def fail() -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "clip.json")

    with pytest.raises(OSError, match=r"clip\.json"):
        until_unread(fail)
