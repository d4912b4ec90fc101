"""Says what models' files and folders are: kind, family, prediction, size, precision, words, and what they are used as.

Headers and configs alone are read, whatever the files' names; nothing is loaded, and pickles run no code.

Exit codes: 0 all is told · 1 a sentence says what is wrong with a file; the others are told all the same · 2 the
command is not understood.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..arguments import ArgumentParser
from ..checkpoints.uses import identified
from . import values

COMMAND = "identify"
_OPTIONS = ("--json", "--help", "-h")
_ROWS = (
    ("kind", "kind"),
    ("family", "family"),
    ("prediction", "prediction"),
    ("size", "size"),
    ("precision", "precision"),
    ("base model", "base_model"),
    ("words", "trigger_words"),
    ("used as", "used_as"),
    ("not used", "problem"),
    ("needs", "needs"),
    ("schedule", "schedule"),
    ("note", "notes"),
)


def is_meant(words: Sequence[str]) -> bool:
    """Whether a command line is one of this command rather than a clip with the prompt "identify".

    A clip's command line has a single word that is no option, its prompt, and options that this command has not.
    """
    if len(words) < 2 or words[0] != COMMAND:
        return False
    before = words[1 : words.index("--")] if "--" in words else words[1:]  # behind it, nothing is an option
    return all(word in _OPTIONS or not word.startswith("-") for word in before)


def main(words: Sequence[str]) -> int:
    """Tell what the files are. Returns the exit code."""
    given = parser().parse_args(words)
    told = [identified(Path(path)) for path in given.files]
    if given.json:
        print(json.dumps(told, indent=2))  # without signs that a terminal may lack
    else:
        if tables := [_table(each) for each in told if "error" not in each]:
            print("\n\n".join(tables))
        for each in told:
            if "error" in each:
                print(each["error"], file=sys.stderr)
    return int(any("error" in each for each in told))


def parser() -> argparse.ArgumentParser:
    """This command's."""
    made = ArgumentParser(
        prog=f"elevator {COMMAND}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("files", nargs="+", type=values.text, metavar="FILE", help="a file, or a folder of diffusers'")
    made.add_argument("--json", action="store_true", help="a list with an object for each")
    return made


def _table(told: Mapping[str, Any]) -> str:
    """The path, and below it a line for everything that is known."""
    return "\n".join([str(told["path"]), *(f"  {name:<12}{text}" for name, text in _lines(told))])


def _lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, key in _ROWS:
        value = told[key]
        if key == "kind":
            extra = told["algorithm"] or told["distilled"] or told["class"]
            yield name, ", ".join(dict.fromkeys(text for text in (value, told["layout"], extra) if text))
        elif key == "size":
            yield name, size_of(value)
        elif key == "prediction" and value and told["zero_snr"]:
            yield name, f"{value}, zero terminal SNR"
        elif key == "notes":
            yield from ((name, note) for note in value)
        elif value:
            yield name, "; ".join(value) if key == "needs" else ", ".join(value) if isinstance(value, list) else value


def size_of(size: int) -> str:
    """Bytes as people read them."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"
