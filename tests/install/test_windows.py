"""What Windows does otherwise, as far as it can be simulated."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from backend.installer import interpreters, windows
from backend.installer.clone import BACKEND
from backend.installer.problem import Problem


@pytest.mark.parametrize(("length", "long_names", "fits"), [(60, False, True), (120, False, False), (120, True, True)])
def test_a_folder_whose_files_would_have_too_long_names_is_said(
    length: int, long_names: bool, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path("C:/" + "x" * length)
    windows.check_folder(root)
    monkeypatch.setattr(windows, "long_names", lambda: long_names)
    monkeypatch.setattr(sys, "platform", "win32")
    if fits:
        windows.check_folder(root)
    else:
        with pytest.raises(Problem, match="is too long"):
            windows.check_folder(root)


def test_the_deepest_file_is_no_deeper_than_thought(root: Path) -> None:
    """Of the packages that are in this environment."""
    environment = Path(sys.prefix)
    deepest = max(len(str(path.relative_to(environment))) for path in environment.rglob("*.h"))
    assert len("/.venv/") + deepest + len("Lib/") - len("lib/python3.11/") <= windows.DEEPEST


@pytest.mark.parametrize(
    ("python", "stores"),
    [
        (r"C:\Users\me\AppData\Local\Microsoft\WindowsApps\python3.exe", True),
        (r"C:\Program Files\WindowsApps\PythonSoftwareFoundation.Python.3.11\python.exe", True),
        (r"C:\Users\me\AppData\Local\Programs\Python\Python311\python.exe", False),
    ],
)
def test_the_stores_python_is_passed_over(python: str, stores: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert windows.is_of_the_store(Path(python)) is stores
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(interpreters.shutil, "which", lambda name: python)  # type: ignore[attr-defined]
    monkeypatch.setattr(interpreters, "ask", lambda *_, **__: f"3 11 {python}")
    assert (interpreters.find_python(BACKEND) is None) is stores
