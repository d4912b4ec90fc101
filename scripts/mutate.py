"""Do the tests notice a mistake? Changes one thing at a time in a copy of the tree, and runs the tests that should.

    python scripts/mutate.py                                   # 20 mutants of each room
    python scripts/mutate.py backend --count 80 --broad        # of one room; survivors again with all its quick tests
    python scripts/mutate.py blender_addon --whole             # and the last with its slow ones, Blender's too
    python scripts/mutate.py shared_protocol/client.py --count 500 --seed 1
    python scripts/mutate.py elevator --tests tests/elevator/test_plan.py --timeout 60

Kinds of changes: a comparison flipped, an integer one more or less, operands swapped, + and − swapped, `not` removed,
`and` and `or` swapped, a statement or `raise` removed, a returned value changed, a key changed. Docstrings, logging,
asserts, f-strings' texts and annotations stay, but for limits in these. The same seed chooses the same mutants of the
same files.

A survivor is a question, not yet a gap: some changes change nothing that matters. Nothing in the checkout is touched.
"""

from __future__ import annotations

import argparse
import ast
import copy
import functools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "elevator": ("tests/elevator",),
    "backend": ("tests/backend", "tests/security"),
    "shared_protocol": ("tests/protocol", "tests/security"),
    "blender_addon": ("tests/addon",),
}
"""Each room and the folders of its tests."""
LEFT_OUT = re.compile(r"/(embedded|training|installer|blender)/|/(demo|package)\.py$")
"""Sources that only Blender, an installation or a training run shows."""
SLOW = re.compile(
    r"in_blender|end_to_end|package|install|chaos|kills|shortages|fuzz|soak|rude|other_user|bare_debian|remote|full_size"
)
NEAR = 6
"""So many test files are tried for a module: its own, then those that come to it by the fewest imports."""

OPPOSITES = ((ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.In, ast.NotIn), (ast.Is, ast.IsNot))
FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    **dict(OPPOSITES),
    **{there: back for back, there in OPPOSITES},
}
SWAPPED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod)
REMOVED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Delete, ast.Continue, ast.Break, ast.Raise)


@dataclass(frozen=True)
class Mutant:
    """One change in one file."""

    file: str
    line: int
    start: int
    """Of what is replaced, in bytes of the file."""
    stop: int
    before: str
    after: str

    def __str__(self) -> str:
        shown = [" ".join(text.split()) for text in (self.before, self.after)]
        before, after = (text if len(text) < 70 else f"{text[:69]}…" for text in shown)
        return f"{self.file}:{self.line}  {before}  →  {after}"

    def applied(self, source: bytes) -> bytes:
        """The file with the change."""
        return source[: self.start] + self.after.encode() + source[self.stop :]


def mutants(file: str, source: bytes) -> Iterator[Mutant]:
    """All changes of a file, in its order."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in _nodes(ast.parse(source)):
        for after in _changes(node):
            assert isinstance(node, ast.expr | ast.stmt)
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            start = starts[node.lineno - 1] + node.col_offset
            stop = starts[node.end_lineno - 1] + node.end_col_offset
            mutant = Mutant(file, node.lineno, start, stop, source[start:stop].decode(), after)
            try:
                compile(mutant.applied(source), file, "exec")
            except SyntaxError:
                continue
            yield mutant


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What may be changed: everything below the node but asserts, docstrings, logging, f-strings and annotations; but
    limits in these may be."""
    if isinstance(node, ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Expr) and (
        isinstance(node.value, ast.Constant) or ast.unparse(node).startswith(("log.", "logging.", "print("))
    ):
        return
    yield node
    for name, field in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            if name == "annotation" and isinstance(field, ast.Subscript):  # Annotated[int, Meta(ge=1)]
                for call in (each for each in ast.walk(field) if isinstance(each, ast.Call)):
                    yield from _nodes(call)
            continue
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.AST):
                yield from _nodes(child)


def _changes(node: ast.AST) -> Iterator[str]:
    """What a node may become."""
    match node:
        case ast.Compare(ops=ops):
            for number, op in enumerate(ops):
                if type(op) in FLIPPED:
                    changed = copy.deepcopy(node)
                    changed.ops[number] = FLIPPED[type(op)]()
                    yield f"({ast.unparse(changed)})"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield f"({ast.unparse(ast.BinOp(left, ast.Sub(), right))})"
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, SWAPPED):
            yield f"({ast.unparse(ast.BinOp(right, op, left))})"
            if isinstance(op, ast.Sub):
                yield f"({ast.unparse(ast.BinOp(left, ast.Add(), right))})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.BoolOp(op=op, values=values):
            yield f"({ast.unparse(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))})"
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            yield from (str(value + 1), f"({value - 1})")
        case ast.Return(value=ast.Constant(value=bool() as value)):
            yield f"return {not value}"
        case ast.Return(value=ast.Call() | ast.Name() | ast.Constant(value=str())):
            yield "return None"
        case ast.Subscript(slice=ast.Constant(value=str() as key), value=of):
            yield f"{ast.unparse(of)}[{key + '_'!r}]"
        case _ if isinstance(node, REMOVED):
            yield "pass"


@functools.cache
def imports() -> dict[str, set[str]]:
    """The files of ours that each file imports, wherever in it; a package is the `__init__.py` in it."""
    files = tracked("*.py")
    modules = {".".join(Path(file).with_suffix("").parts).removesuffix(".__init__"): file for file in files}
    found: dict[str, set[str]] = {file: set() for file in files}
    for file in files:
        package = Path(file).parent.parts
        for node in ast.walk(ast.parse((ROOT / file).read_bytes())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                module = ".".join((*base, *([node.module] if node.module else [])))
                names = [module, *(f"{module}.{each.name}" for each in node.names)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
                names = [node.value]  # what a process is started with
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names = [".".join((*package, node.value))]  # what a command is looked up with
            found[file] |= {modules[name] for name in names if name in modules}
    return found


@functools.cache
def far(test: str) -> dict[str, int]:
    """How many imports lie between a test and each file that it comes to."""
    steps, next_ones = {test: 0}, [test]
    for file in next_ones:
        for other in imports()[file] - steps.keys():
            steps[other] = steps[file] + 1
            next_ones.append(other)
    return steps


def tests_of(file: str, tests: list[str]) -> list[str]:
    """The test files of a module: those that have its name, then those that come to it by the fewest imports, the
    smallest first."""
    stem = Path(file).stem
    named = [test for test in tests if re.fullmatch(rf"test_{stem}(_.*)?\.py", Path(test).name)]
    others = [test for test in tests if test not in named and file in far(test)]
    others.sort(key=lambda test: (far(test)[file], (ROOT / test).stat().st_size))
    return [*named, *others][:NEAR]


def outcome(tree: Path, tests: list[str], seconds: float) -> str:
    """What these tests do in the tree: pass, fail, or hang for longer than so many seconds."""
    own = tree / ".venv" / "bin" / "python"  # some tests look at where their Python lies
    python = str(own) if own.exists() else sys.executable
    command = [python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return "pass" if process.wait(seconds) == 0 else "fail"
    except subprocess.TimeoutExpired:
        return "hang"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tracked(*patterns: str) -> list[str]:
    """Files of the checkout that git knows or would know, and that are there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())


def copied(folder: Path) -> Path:
    """A copy of the tree, with the same environments."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    for environment in ROOT.glob(".venv*"):
        (folder / environment.name).symlink_to(environment)
    return folder


class Trials:
    """Runs tests in a tree with one mutant at a time."""

    def __init__(self, tree: Path, seconds: float) -> None:
        self._tree, self._seconds = tree, seconds
        self._sound: dict[str, bool] = {}

    def sound(self, tests: list[str]) -> list[str]:
        """Those of the test files that pass in time where nothing is changed."""
        for test in tests:
            if test not in self._sound:
                self._sound[test] = outcome(self._tree, [test], self._patience([test])) == "pass"
                if not self._sound[test]:
                    print(f"{test}  left out: it fails or takes too long as it is", flush=True)
        return [test for test in tests if self._sound[test]]

    def of(self, mutant: Mutant, tests: list[str]) -> str:
        """What these tests do with the mutant: pass, fail or hang."""
        changed = self._tree / mutant.file
        source = changed.read_bytes()
        changed.write_bytes(mutant.applied(source))
        try:
            return outcome(self._tree, tests, self._patience(tests))
        finally:
            changed.write_bytes(source)

    def _patience(self, tests: list[str]) -> float:
        return self._seconds * (10 if len(tests) > NEAR or any(SLOW.search(test) for test in tests) else 1)


def examine(room: str, files: list[str], tree: Path, given: argparse.Namespace) -> Counter[str]:
    """Try mutants of these files, and print what survives."""
    every = tracked(*(f"{folder}/**test_*.py" for folder in ROOMS[room]))
    quick = [test for test in every if not SLOW.search(test)]
    slow = [test for test in every if SLOW.search(test)]
    chosen = [mutant for file in files for mutant in mutants(file, (ROOT / file).read_bytes())]
    chosen = random.Random(given.seed).sample(chosen, min(given.count, len(chosen)))
    counts: Counter[str] = Counter()
    trials = Trials(tree, given.timeout)

    def stages(mutant: Mutant) -> Iterator[list[str]]:
        """The tests that are tried, one lot after the other until one notices."""
        yield given.tests or tests_of(mutant.file, quick)
        if given.broad or given.whole:
            yield quick
        if given.whole:
            yield from ([test] for test in slow)

    for mutant in sorted(chosen, key=lambda one: (one.file, one.start)):
        what = "not tried"
        for tests in stages(mutant):
            sound = trials.sound(tests)
            what = trials.of(mutant, sound) if sound else what
            if what in ("fail", "hang"):
                break
        counts[{"pass": "survived", "not tried": "not tried"}.get(what, "killed")] += 1
        said = {
            "pass": f"{mutant}",
            "hang": f"{mutant}  killed: its tests did not end in time",  # or the machine has too much to do: look
            "not tried": f"{mutant.file}  not tried: no test comes to it",
        }
        if what in said:
            print(said[what], flush=True)
    return counts


def main() -> int:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", nargs="*", default=list(ROOMS), help="rooms, folders or files (default: all rooms)")
    parser.add_argument("--count", type=int, default=20, help="mutants of each room (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the mutants (default: 0)")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for the tests of one mutant (default: 120)")
    parser.add_argument("--tests", nargs="+", help="test files, instead of those that belong to each module")
    parser.add_argument("--broad", action="store_true", help="try survivors again with all quick tests of the room")
    parser.add_argument("--whole", action="store_true", help="and those that are left with its slow tests, one by one")
    given = parser.parse_args()
    files = [name for name in tracked("*.py") if not LEFT_OUT.search(name)]
    wanted = [name for name in files if any(name == at or name.startswith(f"{at.rstrip('/')}/") for at in given.where)]
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        tree = copied(Path(folder))
        for room in ROOMS:
            mine = [name for name in wanted if name.startswith(f"{room}/")]
            if not mine:
                continue
            counts = examine(room, mine, tree, given)
            tried = counts["killed"] + counts["survived"]
            score = f"{100 * counts['killed'] / tried:.0f} %" if tried else "–"
            print(
                f"{room}: {tried} mutants, {counts['killed']} killed, {score}; {counts['not tried']} not tried",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
