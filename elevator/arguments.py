"""How every command line of the project reads its words. Needs nothing but Python: install.py uses it, too."""

from __future__ import annotations

import argparse
import difflib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["ArgumentParser"]


_NUMBERS: dict[Any, str] = {int: "whole number", float: "number"}


class ArgumentParser(argparse.ArgumentParser):
    """argparse's own takes any word that begins with `-` for an option, which ends a value, too. Here

    - the word after an option that takes one value is its value, as getopt has it: Z85 keys, prompts and paths may
      begin with `-`. Only what is an option of this command itself is none, for then the value was forgotten;
      `--option=WORD` takes that as well.
    - an option is written out. So a text such as "-h is a letter" is a prompt, and a new option changes no old command.

    A single word such as `-cat` is still refused where it stands alone, since it may be an option with a slip in it;
    after `--` everything is taken as it is.
    """

    words: Sequence[str] = ()
    """What is read, or was read last."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}{self.hint(options, rest)}")
        return argparse.Namespace(**vars(options))

    def hint(self, options: argparse.Namespace, rest: Sequence[str]) -> str:
        """What may have been meant by words that are not understood, or nothing; behind another sentence."""
        bare = [word for word in rest if not word.startswith("-")]
        if bare and (prompt := getattr(options, "prompt", None)):
            return f'; put the prompt into quotes: "{prompt} {" ".join(bare)}"'
        return _meant(rest[0].partition("=")[0], self._every_option())

    def _every_option(self) -> Iterator[str]:
        yield from self._option_string_actions
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    yield from parser._every_option()

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += _meant(str(value), map(str, action.choices or ()))
            raise

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        self.words = words = sys.argv[1:] if args is None else args
        return super().parse_known_args(list(self._joined(words)), namespace)

    def words_of(self, options: argparse.Namespace) -> list[str]:
        """Words from which this parser reads these options again: those alone that differ from what it takes by itself.

        For options that are flags or take one value, once or several times.
        """
        words = []
        for action in self._actions:
            value = getattr(options, action.dest, action.default)
            if not action.option_strings or value == action.default:
                continue
            option = action.option_strings[0]
            for each in value if isinstance(value, list) else [value]:
                words.append(option if action.nargs == 0 else f"{option}={each}")
        return words

    def _joined(self, words: Sequence[str]) -> Iterator[str]:
        """The words, with each value in one word with its option. What follows a command is that command's to read."""
        k = 0
        while k < len(words):
            word, following = words[k], words[k + 1 : k + 2]
            if word == "--" or (self._subparsers is not None and not word.startswith("-")):
                yield from words[k:]
                return
            action = self._option_string_actions.get(word)
            if following and action is not None and action.nargs is None and not self._is_option(*following):
                yield f"{word}={following[0]}"
                k += 2
            else:
                yield word
                k += 1

    def _is_option(self, word: str) -> bool:
        return word == "--" or word.partition("=")[0] in self._option_string_actions

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        """The options that may be meant by a beginning of theirs: none."""
        return []

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            if action.type in _NUMBERS:  # of which argparse would say "invalid float value"
                error.message = f'"{arg_string}" is no {_NUMBERS[action.type]}'
            raise

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Before Python 3.12.5, argparse lost the value of `--option=--`."""
        if not action.option_strings or action.nargs is not None:
            return super()._get_values(action, arg_strings)
        value = self._get_value(action, *arg_strings)
        self._check_value(action, value)
        return value


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that may have been meant, if any looks like it."""
    return next(iter(difflib.get_close_matches(word, list(words), n=1)), None)


def _meant(word: str, words: Iterable[str]) -> str:
    near = nearest(word, words)
    return f'; did you mean "{near}"?' if near else ""


EXIT_UNREAD = 141
"""As a shell tells it of a command that SIGPIPE ended."""
EXIT_UNWRITTEN = 1


def until_unread(command: Callable[[], int]) -> int:
    """Run a command. Returns its exit code, or EXIT_UNREAD if whoever reads its output has left, as `… | head` does.

    What it says ends it neither where an encoding lacks a sign, as a Windows pipe's does, nor where there is no output
    at all. Where the output cannot be written, as on a disk that is full, one sentence says so, and the code is
    EXIT_UNWRITTEN.
    """
    _prepare_streams()
    try:
        try:
            return command()
        finally:
            _flush()
    except BrokenPipeError:
        drop_output()
        return EXIT_UNREAD
    except OSError as error:
        if error.filename is not None or error.errno not in _OF_OUTPUT:
            raise
        drop_output()
        print(f"The output cannot be written: {error.strerror}.", file=sys.stderr)
        return EXIT_UNWRITTEN


_OF_OUTPUT = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EIO)
"""Why a stream cannot be written; an error of a file names that."""


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        if sys.platform == "win32" and error.errno == errno.EINVAL:  # what it says of a pipe whose reader has left
            raise BrokenPipeError from error
        raise


def drop_output() -> None:
    """Let nothing more be written to standard output, which takes nothing: Python flushes at its end, and would
    complain."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:  # one that is no file has nothing to flush
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def though_unread(say: Callable[[], None]) -> None:
    """Say what was done. It is done, whether anybody reads that or not, so no output that fails is told."""
    try:
        say()
        sys.stdout.flush()
    except OSError:
        drop_output()


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed, or there is none, as in Windows' pythonw
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for as long as we live
        elif isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def without_packages(command: str, error: ModuleNotFoundError) -> str:
    """What to say where a command's module meets a Python without the project's packages.

    Raises the error again if it is one of ours that is not there.
    """
    if error.name is None or error.name.partition(".")[0] in ("elevator", "backend", "shared_protocol"):
        raise error
    python, folder, sign = ("py", "Scripts", "\\") if sys.platform == "win32" else ("python3", "bin", "/")
    return (
        f"{sys.executable} does not have the package {error.name}: set everything up with "
        f'"{python} install.py setup", then use "{sign.join((".venv", folder, command))}".'
    )
