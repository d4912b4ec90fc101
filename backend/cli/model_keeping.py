"""`models verify`, `models repair` and `models remove`."""

from __future__ import annotations

import argparse
import sys

from ..failures import EXIT_DONE, EXIT_TO_CHANGE
from ..models import getting
from ..models.catalogue import is_weights, read_catalogue
from ..models.failures import ModelFailure
from ..models.stock import Got
from ..styles.catalogue import read_catalogue as read_styles
from .failures import CommandFailure
from .model_files import look_at, means, of_names, say_new, with_progress
from .model_lines import CheckedFile, RemovedFile
from .output import Output, shown, size_text, warn


def run_verify(options: argparse.Namespace) -> int:
    """Compare what was got with its hashes. Raises BackendError if something is not as it came."""
    output, got = Output(json=options.json), of_names(options.names)
    checked = with_progress(options, lambda show: getting.check(got, show))
    _say_checked(output, checked)
    if faulty := [each for each, problem in checked if problem]:
        raise ModelFailure("files_faulty", count=len(faulty), files=len(got))
    output.say(f"All {len(got)} files are as they came." if got else "Nothing was got yet.")
    return EXIT_DONE


def run_repair(options: argparse.Namespace) -> int:
    """Download again what is damaged or missing. Raises BackendError."""
    output, got = Output(json=options.json), of_names(options.names)
    checked = with_progress(options, lambda show: getting.check(got, show))
    _say_checked(output, checked)
    faulty = [each for each, problem in checked if problem]
    new = with_progress(options, lambda show: getting.repair(faulty, means(options), show)) if faulty else []
    say_new(output, new)
    look_at([each.place for each in new if is_weights(each.path)])
    output.say(f"{len(new)} files were got again." if new else f"All {len(got)} files are as they came.")
    return EXIT_DONE


def _say_checked(output: Output, checked: list[tuple[Got, str]]) -> None:
    for got, problem in checked:
        output.line(CheckedFile(path=str(got.place), problem=problem))
        if problem:
            output.say(f"{got.place}: {problem}.")


def run_remove(options: argparse.Namespace) -> int:
    """Delete files that were got. Raises BackendError."""
    output, catalogue = Output(json=options.json), read_catalogue()
    gone = getting.to_remove(catalogue, options.names)
    if not gone:
        output.say("Another set that is here needs all of these files: nothing was removed.")
        return EXIT_DONE
    for got in gone:
        output.say(f"{got.place}, {size_text(got.size)}")
    for style in _styles_with(gone):
        warn(f'The style "{style}" uses some of these, and cannot make clips without them.')
    if not options.yes and not _agreed(options, f"Delete {size_text(sum(got.size for got in gone))}?"):
        warn("Nothing was removed.")
        return EXIT_TO_CHANGE
    getting.remove(gone)
    for got in gone:
        output.line(RemovedFile(path=str(got.place), size=got.size))
    output.say("Removed.")
    return EXIT_DONE


def _styles_with(gone: list[Got]) -> list[str]:
    """Names of the styles that any of these files belong to."""
    files = [got.place for got in gone]
    return [
        name
        for name, recipe in read_styles().recipes.items()
        if any(file == path or file.is_relative_to(path) for _, path in recipe.sources.paths() for file in files)
    ]


def _agreed(options: argparse.Namespace, question: str) -> bool:
    """Ask. Raises CommandFailure where nobody can answer."""
    if options.json or not sys.stdin.isatty():
        raise CommandFailure("usage", detail="Nobody can be asked here: give --yes.", command="models remove")
    print(shown(f"{question} [y/N] "), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
