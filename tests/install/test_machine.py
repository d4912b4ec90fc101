"""What the installer makes of the machine that it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from backend.installer import demo, environments, extension, interpreters, system_packages
from backend.installer.clone import BACKEND, BLENDER, Environment
from backend.installer.problem import Problem


class TestPython:
    def test_this_one_serves_the_backend(self) -> None:
        assert interpreters.find_python(BACKEND) is not None

    @pytest.mark.parametrize(("environment", "wanted"), [(BACKEND, r"3\.11 or newer"), (BLENDER, r"3\.11")])
    def test_missing_one_is_said(self, environment: Environment, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(interpreters, "_look_at", lambda command: ((3, 10), Path("python3.10")))
        with pytest.raises(Problem, match=rf'{environment.name} needs Python {wanted} .* "uv python install 3\.11"'):
            interpreters.need_python(environment)

    def test_one_of_uv_is_found(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        python = folder / "cpython-3.11.14-linux-x86_64-gnu" / "bin" / "python3"
        monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(folder))
        monkeypatch.setenv("PYENV_ROOT", str(folder / "none"))
        looked = {str(python): ((3, 11), python)}
        monkeypatch.setattr(interpreters, "_look_at", lambda command: looked.get(command[0]))
        assert interpreters.find_python(BLENDER) is None
        python.parent.mkdir(parents=True)
        python.touch()
        assert interpreters.find_python(BLENDER) == python

    def test_newer_one_serves_the_backend_and_not_bpy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(interpreters, "_look_at", lambda command: ((3, 13), Path("python3.13")))
        assert interpreters.find_python(BACKEND) == Path("python3.13")
        assert interpreters.find_python(BLENDER) is None


class TestBlender:
    @pytest.fixture
    def no_module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("backend.installer.environments.is_complete", lambda environment: False)
        monkeypatch.setattr(demo, "find_python", lambda environment: None)

    @staticmethod
    def program(folder: Path, version: str) -> Path:
        path = folder / "blender"
        path.write_text(f"#!/bin/sh\necho 'Blender {version}'\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def test_installed_one_is_used_where_the_module_cannot_be(
        self, folder: Path, no_module: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = self.program(folder, "4.5.1 LTS")
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        assert demo._pick_blender(None) == path

    def test_neither_is_said(self, no_module: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(interpreters, "_blenders", lambda: iter(()))
        with pytest.raises(Problem, match=r"needs Python 3\.11.*no Blender 4\.2"):
            demo._pick_blender(None)

    def test_given_one_must_fit(self, folder: Path) -> None:
        with pytest.raises(Problem, match=r"is no Blender 4\.2 or newer"):
            demo._pick_blender(self.program(folder, "3.6.0"))
        with pytest.raises(Problem, match=r"is no Blender 4\.2 or newer"):
            demo._pick_blender(folder / "nothing")


class TestExtension:
    @pytest.fixture
    def packed(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """How packing.py was called; it is said to have made two zips."""
        given: dict[str, Any] = {}

        def run(args: Sequence[str | Path], *, log: Path, env: Mapping[str, str], **_: Any) -> None:
            given.update(args=[str(arg) for arg in args], env=env)
            log.write_text("a word of pip's\n/one.zip\n/two.zip\n", encoding="utf-8")

        monkeypatch.setattr(extension, "run", run)
        monkeypatch.setattr(extension, "LOGS", folder)
        return given

    def test_it_is_built_without_what_another_python_has_left(
        self, folder: Path, packed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CONDA_PREFIX", "/another")
        monkeypatch.setenv("ELEVATOR_HOME", "kept")
        assert extension.package(folder) == Path("/one.zip")
        assert packed["env"]["ELEVATOR_HOME"] == "kept"
        assert "CONDA_PREFIX" not in packed["env"]
        assert "--all-platforms" not in packed["args"]

    def test_it_is_built_for_all_platforms(self, folder: Path, packed: dict[str, Any]) -> None:
        assert extension.package_all(folder / "new") == [Path("/one.zip"), Path("/two.zip")]
        assert packed["args"][-3:] == ["--out", str(folder / "new"), "--all-platforms"]


class TestSystemPackages:
    @pytest.fixture
    def commands(self, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        ran: list[list[str]] = []
        monkeypatch.setattr(system_packages, "run", lambda args, **_: ran.append(list(args)))
        monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr(system_packages, "_is_root", lambda: True)
        return ran

    def test_nothing_is_missing(self, commands: list[list[str]]) -> None:
        system_packages.provide([], [])
        assert not commands

    def test_root_has_them_installed(self, commands: list[list[str]]) -> None:
        system_packages.provide(["python3-venv"], ["libXi.so.6"])
        assert len(commands) == 1
        assert commands[0][:2] == ["apt-get", "install"]
        assert commands[0][-2:] == ["python3-venv", "libxi6"]

    def test_failing_apt_is_mended_once(self, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
        def run(args: Sequence[str], **_: Any) -> None:
            commands.append(list(args))
            if len(commands) == 1:
                raise Problem("E: Unable to locate package")

        monkeypatch.setattr(system_packages, "run", run)
        system_packages.provide(["python3-venv"], [])
        assert [command[:2] for command in commands] == [
            ["apt-get", "install"],
            ["dpkg", "--configure"],
            ["apt-get", "update"],
            ["apt-get", "install"],
        ]

    def test_others_get_the_one_command(self, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system_packages, "_is_root", lambda: False)
        with pytest.raises(Problem, match=r"sudo apt-get install -y python3-venv libsm6 libgl1$"):
            system_packages.provide(["python3-venv"], ["libSM.so.6", "libGL.so.1"])
        assert not commands

    def test_other_systems_get_the_names(self, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shutil.which", lambda name: None)
        with pytest.raises(Problem, match=r"lacks libSM\.so\.6.*package manager"):
            system_packages.provide([], ["libSM.so.6"])

    def test_missing_libraries_are_found_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(system_packages.BPY_LIBRARIES, "libnone.so.9", "libnone9")
        assert "libnone.so.9" in system_packages.missing_libraries()

    @pytest.mark.parametrize(
        ("ensurepip", "root", "pip", "package"),
        [
            (True, True, True, ""),
            (False, True, True, "python3-venv"),
            (False, False, True, ""),
            (False, False, False, "python3-venv"),
        ],
    )
    def test_when_venv_is_wanted(
        self, ensurepip: bool, root: bool, pip: bool, package: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(system_packages, "has_ensurepip", lambda python: ensurepip)
        monkeypatch.setattr(system_packages, "has_pip", lambda python: pip)
        monkeypatch.setattr(system_packages, "_is_root", lambda: root)
        assert system_packages.venv_package(BACKEND, Path("python3")) == package


def test_lock_files_pin_everything(root: Path) -> None:
    for name in ("requirements.lock", "development.lock", "torch.lock", "blender.lock", "blender-python-3.13.lock"):
        for line in (root / name).read_text(encoding="utf-8").splitlines():
            assert line.startswith(("#", "    --hash=sha256:")) or "==" in line, (name, line)


def test_environments_know_their_interpreter(environment: Environment) -> None:
    assert environments.python_of(environment).is_relative_to(environment.folder)
