"""An installation that fails leaves what worked before."""

from __future__ import annotations

import os
import venv
from pathlib import Path

import pytest

from backend.installer import environments, import_check
from backend.installer.clone import Environment
from backend.installer.environments import STAMP, UNFINISHED, python_of
from backend.installer.keeping import beside, kept, put_back
from backend.installer.problem import Interrupted, Problem


@pytest.fixture
def working(environment: Environment) -> Environment:
    """One with a stamp and a package."""
    venv.create(environment.folder, symlinks=True)
    package(environment).mkdir()
    (package(environment) / "__init__.py").write_text("answer = 1", encoding="utf-8")
    (environment.folder / STAMP).write_text("of an older lock file", encoding="utf-8")
    return environment


def package(environment: Environment) -> Path:
    (site,) = environment.folder.glob("lib/python*/site-packages")
    return site / "msgspec"


def replaced(environment: Environment, text: str) -> None:
    """As pip does it: a new file in the place of the old one."""
    (environment.folder / STAMP).unlink()
    (environment.folder / STAMP).write_text(UNFINISHED, encoding="utf-8")
    (package(environment) / "__init__.py").unlink()
    (package(environment) / "__init__.py").write_text(text, encoding="utf-8")


def answer(environment: Environment) -> str:
    return (package(environment) / "__init__.py").read_text(encoding="utf-8")


def test_what_went_well_stays_and_nothing_is_left_beside(working: Environment) -> None:
    with kept(working):
        replaced(working, "answer = 2")
        file = package(working).relative_to(working.folder) / "__init__.py"
        assert (beside(working) / file).read_text(encoding="utf-8") == "answer = 1"
    assert answer(working) == "answer = 2"
    assert not beside(working).exists()


@pytest.mark.parametrize("end", [Problem("pip failed"), Interrupted(), KeyboardInterrupt()])
def test_what_fails_puts_the_earlier_one_back(
    working: Environment, end: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(end)), kept(working):  # noqa: PT012
        replaced(working, "half")
        raise end
    assert answer(working) == "answer = 1"
    assert (working.folder / STAMP).read_text(encoding="utf-8") == "of an older lock file"
    assert python_of(working).exists()
    assert not beside(working).exists()
    assert ".venv is as it was before." in capsys.readouterr().out


def test_what_cannot_be_imported_puts_the_earlier_one_back(working: Environment) -> None:
    working.lock.write_text("msgspec==1.0\n", encoding="utf-8")
    with pytest.raises(Problem, match="does not work: msgspec cannot be imported"), kept(working):
        replaced(working, "import not_there_any_more")
    assert answer(working) == "answer = 1"


def test_a_package_that_ends_python_is_named(working: Environment) -> None:
    working.lock.write_text("msgspec==1.0\npsutil==1.0\n", encoding="utf-8")
    (package(working) / "__init__.py").write_text("import os\nos.abort()", encoding="utf-8")
    assert import_check.broken(working) == ["msgspec ends Python when it is imported"]


def test_one_that_was_killed_is_put_back_at_the_next_start(working: Environment) -> None:
    held = kept(working)
    held.__enter__()
    replaced(working, "half")  # and here the power fails
    with kept(working):
        assert answer(working) == "answer = 1"
    assert answer(working) == "answer = 1"


def test_a_copy_that_was_cut_off_is_no_earlier_one(working: Environment) -> None:
    part = beside(working).with_name(f"{beside(working).name}.part")
    part.mkdir()
    (part / "half").touch()
    assert not put_back(working)
    with kept(working):
        pass
    assert answer(working) == "answer = 1"
    assert not part.exists()


def test_an_unfinished_one_is_not_kept(working: Environment) -> None:
    (working.folder / STAMP).write_text(UNFINISHED, encoding="utf-8")
    with pytest.raises(Problem), kept(working):  # noqa: PT012
        assert not beside(working).exists()
        raise Problem("no")
    assert working.folder.exists()


def test_a_disk_without_hard_links_serves_as_well(working: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(Problem), kept(working):  # noqa: PT012
        replaced(working, "half")
        raise Problem("no")
    assert answer(working) == "answer = 1"


def test_the_real_pip_that_fails_leaves_what_worked(environment: Environment, base: Path) -> None:
    environments.ensure(environment, base)
    before = sorted(path.relative_to(environment.folder) for path in environment.folder.rglob("*.py"))
    environment.lock.write_text("--no-index\nno-such-package==1.0\n", encoding="utf-8")
    with pytest.raises(Problem, match="no-such-package"), kept(environment):
        environments.ensure(environment, base)
    environment.lock.write_text("# nothing\n", encoding="utf-8")
    assert environments.is_complete(environment)
    assert sorted(path.relative_to(environment.folder) for path in environment.folder.rglob("*.py")) == before
