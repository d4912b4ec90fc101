"""Which build of torch an environment gets, and that it really changes: the real pip with tiny wheels of its names."""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.installer import environments, gpus, readiness, torch_build, torch_wheel
from backend.installer.clone import Environment
from backend.installer.environments import STAMP
from backend.installer.gpus import Gpus, Nvidia
from backend.installer.problem import Problem
from backend.installer.torch_build import TorchBuild
from backend.installer.torch_wheel import INDEX, Wish, builds, choose, kind_of, listed, pinned_version, settled

PIP = (sys.executable, "-m", "pip")
NEW = Nvidia(580, (8, 9))
SAYS = {"cu130": ("cuda", "13.0"), "cu126": ("cuda", "12.6"), "rocm7.2": ("hip", "7.2"), "xpu": ("xpu", "20250301")}


def wheel(folder: Path, build: str, metadata: str | None = None, version: str = "9.9") -> Path:
    """A torch that has nothing but its version. `metadata`: the build that its name tells; by default the truth."""
    named = build if metadata is None else metadata
    name = f"torch-{version}{f'+{named}' if named else ''}"
    kind, number = SAYS.get(build, ("", ""))
    said = "".join(f"{each}: Optional[str] = {number if each == kind else None!r}\n" for each in ("cuda", "hip", "xpu"))
    files = {
        "torch/__init__.py": "",
        "torch/version.py": f"from typing import Optional\n__version__ = '{version}+{build}'\n{said}",
        f"{name}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {name[6:]}\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{name}.dist-info/RECORD"] = "".join(f"{each},,\n" for each in (*files, f"{name}.dist-info/RECORD"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as content:
        for each, text in files.items():
            content.writestr(each, text)
    return path


@pytest.fixture
def shelf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks."""
    place = folder / "wheels"
    place.mkdir()
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": place.as_uri(), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return place


@pytest.fixture
def indices(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Says which builds are published, each in its own index, and which pip finds `anyway`; nothing else is there."""
    there: dict[str, tuple[str, ...]] = {}
    monkeypatch.setattr(torch_wheel, "listed", lambda pip, index="": there.get(index, ()))

    def make(*names: str, anyway: tuple[str, ...] = ()) -> str:
        there.update({f"{INDEX}/{name}": ("9.10", f"9.9+{name}", "9.8") for name in names}, **{"": anyway})
        return INDEX

    return make


@pytest.fixture
def lock(environment: Environment) -> Path:
    path = environment.lock.with_name("torch.lock")
    path.write_text("torch==9.9\n", encoding="utf-8")
    return path


def on(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    """What is decided as on another system."""
    monkeypatch.setattr(torch_wheel, "sys", SimpleNamespace(platform=system))


def machine(nvidia: Nvidia | None = None, amd: bool = False, intel: bool = False) -> Callable[[], Gpus]:
    return lambda: Gpus(nvidia, amd, intel)


class TestChoice:
    @pytest.mark.parametrize(
        ("found", "build"),
        [
            (machine(), "cpu"),
            (machine(NEW), "cu130"),
            (machine(Nvidia(580)), "cu130"),
            (machine(Nvidia(570, (8, 9))), "cu126"),
            (machine(Nvidia(580, (6, 1))), "cu126"),
            (machine(Nvidia()), "cu126"),
            (machine(amd=True), "rocm7.2"),
            (machine(intel=True), "xpu"),
            (machine(NEW, amd=True, intel=True), "cu130"),
        ],
    )
    def test_of_this_machine(
        self, found: Callable[[], Gpus], build: str, lock: Path, indices: Callable[..., str]
    ) -> None:
        index = indices("cpu", "cu130", "cu126", "rocm7.1", "rocm7.2", "xpu")
        choice = choose(lock, PIP, Wish(), found=found)
        assert choice.pip_arguments == ("--extra-index-url", f"{index}/{build}", f"torch==9.9+{build}")
        assert choice.noted == {"torch": build, "torch index": ""}
        assert "PyTorch's own index" in choice.why
        assert (choice.room_gb > 0) is (build != "cpu")

    def test_windows_with_a_gpu_gets_cuda(
        self, lock: Path, indices: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        on(monkeypatch, "win32")
        indices("cu130")
        assert choose(lock, PIP, Wish(), found=machine(NEW)).pip_arguments[-1] == "torch==9.9+cu130"

    def test_next_best_is_taken_where_the_best_is_not_published(self, lock: Path, indices: Callable[..., str]) -> None:
        indices("cu126")
        choice = choose(lock, PIP, Wish("cuda"), found=machine(NEW))
        assert choice.pip_arguments[-1] == "torch==9.9+cu126"
        assert choice.noted["torch"] == "cu130", "the same wish finds it fulfilled"

    def test_another_version_is_none(self, lock: Path, indices: Callable[..., str]) -> None:
        indices("cu130")
        lock.write_text("torch==9.8\n", encoding="utf-8")
        with pytest.raises(Problem, match=r"no build of 9\.8 built for AMD's GPUs.*--torch-index URL"):
            choose(lock, PIP, Wish("rocm"), found=machine())

    @pytest.mark.parametrize(
        ("system", "found", "words", "noted"),
        [
            ("linux", machine(), "for the CPU was found in .* so the usual one comes.* GB", "cu130"),
            ("linux", machine(NEW), "this system's usual build, built for NVIDIA's", "cu130"),
            ("linux", machine(amd=True), "AMD's GPUs was found in .* so the usual one comes.* GB", "cu130"),
            ("win32", machine(), "this system's usual build, built for the CPU", "cpu"),
            ("win32", machine(NEW), r"so that for the CPU comes.* install\.py setup --torch cuda$", "cpu"),
            ("darwin", machine(), "this system's usual build, built for the CPU and the GPU", "cpu"),
        ],
    )
    def test_nothing_answers(
        self,
        system: str,
        found: Callable[[], Gpus],
        words: str,
        noted: str,
        lock: Path,
        indices: Callable[..., str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        on(monkeypatch, system)
        choice = choose(lock, PIP, Wish(), found=found)
        assert choice.pip_arguments == ()
        assert choice.noted == {"torch": noted, "torch index": ""}
        assert re.search(words, choice.why), choice.why

    @pytest.mark.parametrize(
        ("system", "kind"), [("win32", "rocm"), ("darwin", "cuda"), ("darwin", "rocm"), ("freebsd", "xpu")]
    )
    def test_what_a_system_has_no_build_for_is_refused(
        self, system: str, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        on(monkeypatch, system)
        with pytest.raises(Problem, match=rf"no build of torch for {kind} on this system: choose --torch cpu"):
            settled(Wish(kind))

    def test_what_was_asked_for_is_never_replaced_in_silence(
        self, lock: Path, indices: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        on(monkeypatch, "win32")
        with pytest.raises(Problem, match="NVIDIA's GPUs was found"):
            choose(lock, PIP, Wish("cuda"), found=machine(NEW))

    def test_what_pip_finds_anyway_comes_first(self, lock: Path, indices: Callable[..., str]) -> None:
        indices("cpu", anyway=("9.9+cpu", "9.9"))
        assert choose(lock, PIP, Wish(), found=machine()).pip_arguments == ("torch==9.9+cpu",)

    def test_usual_build_takes_the_place_of_another(
        self, lock: Path, indices: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        on(monkeypatch, "win32")
        indices("cu130", anyway=("9.9", "9.8"))
        cuda = TorchBuild("9.9+cu130", cuda="13.0")
        assert choose(lock, PIP, Wish("cpu"), cuda, machine(NEW)).pip_arguments == ("torch===9.9",)

    @pytest.mark.parametrize(
        ("there", "stays"),
        [
            (TorchBuild("9.9+cu130", cuda="13.0"), True),
            (TorchBuild("9.9+cu126", cuda="12.6"), False),
            (TorchBuild("9.8+cu130", cuda="13.0"), False),
            (TorchBuild("9.9+cpu"), False),
        ],
    )
    def test_what_fits_stays(self, there: TorchBuild, stays: bool, lock: Path, indices: Callable[..., str]) -> None:
        indices("cu130")
        choice = choose(lock, PIP, Wish(), there, machine(NEW))
        assert (choice.pip_arguments == ()) is stays

    def test_new_card_with_an_old_driver_hears_what_mends_it(self, lock: Path, indices: Callable[..., str]) -> None:
        indices("cu126", "cu130")
        assert "driver of 580 or newer" in choose(lock, PIP, Wish(), found=machine(Nvidia(570, (12, 0)))).why
        assert "driver" not in choose(lock, PIP, Wish(), found=machine(Nvidia(570, (8, 9)))).why


class TestGivenIndex:
    def test_best_build_of_it(self, lock: Path, indices: Callable[..., str]) -> None:
        index = indices("cu126")
        choice = choose(lock, PIP, Wish("", f"{index}/cu126"), found=machine(NEW))
        assert choice.pip_arguments == ("--extra-index-url", f"{index}/cu126", "torch==9.9+cu126")
        assert choice.noted["torch index"] == f"{index}/cu126"

    def test_any_of_its_builds_unless_a_kind_is_asked_for(self, lock: Path, indices: Callable[..., str]) -> None:
        index = f"{indices('cu129')}/cu129"
        assert choose(lock, PIP, Wish("", index), found=machine()).pip_arguments[-1] == "torch==9.9+cu129"
        assert choose(lock, PIP, Wish("cuda", index), found=machine()).pip_arguments[-1] == "torch==9.9+cu129"
        assert choose(lock, PIP, Wish("cpu", index), found=machine()).pip_arguments == ("--extra-index-url", index)

    def test_one_that_lists_nothing(self, lock: Path, indices: Callable[..., str]) -> None:
        choice = choose(lock, PIP, Wish("", "file:///no-index"), found=machine())
        assert choice.pip_arguments == ("--extra-index-url", "file:///no-index")
        assert "does not list 9.9" in choice.why


@pytest.mark.parametrize(
    ("build", "kind"),
    [("cu130", "cuda"), ("rocm7.1", "rocm"), ("xpu", "xpu"), ("cpu", "cpu"), ("", ""), ("cuda", "cuda")],
)
def test_kinds(build: str, kind: str) -> None:
    assert kind_of(build) == kind


def test_versions_are_what_pip_can_install_and_not_what_is_there(shelf: Path) -> None:
    """Under this Python a torch is installed, which pip tells, too."""
    wheel(shelf, "cu130")
    wheel(shelf, "cpu", version="9.8")
    assert listed(PIP) == ("9.9+cu130", "9.8+cpu")


def test_index_is_read_as_pytorchs_is_laid_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page for each package, in whose links + is %2B."""
    for name in ("FIND_LINKS", "EXTRA_INDEX_URL", "NO_INDEX"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    file = wheel(folder / "torch", "cu130")
    link = f'<a href="{file.name.replace("+", "%2B")}#sha256=0">{file.name}</a>'
    (folder / "torch" / "index.html").write_text(link, encoding="utf-8")
    assert listed(PIP, folder.as_uri()) == ("9.9+cu130",)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert listed(PIP, f"http://127.0.0.1:{port}/whl/cu130") == ()


def test_silent_index_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_wheel, "LIMIT_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert listed(PIP, f"http://127.0.0.1:{silent.getsockname()[1]}/whl/cu130") == ()


def test_lock_without_torch_is_said(folder: Path) -> None:
    lock = folder / "empty.lock"
    lock.touch()
    with pytest.raises(Problem, match="does not pin torch"):
        pinned_version(lock)


def test_indices_are_pytorchs() -> None:
    """The only address of this kind in the project."""
    assert INDEX.startswith("https://")
    assert builds("cuda") == ("cu130", "cu126")


class TestSetup:
    """`install.py setup` with the real pip: the wheels are tiny, the environment is real."""

    @pytest.fixture
    def backend(
        self, environment: Environment, lock: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Environment:
        for build in ("cpu", "cu130", "rocm7.2"):
            wheel(shelf, build)
        environment = dataclasses.replace(environment, torch_lock=lock)
        monkeypatch.setattr(readiness, "BACKEND", environment)
        monkeypatch.setattr(readiness, "BUILD", environment.folder.parent / "build")
        monkeypatch.setattr(readiness, "write_commands", lambda environment: None)
        monkeypatch.setattr(torch_wheel, "ROOM_GB", dict.fromkeys(torch_wheel.ROOM_GB, 0.0))
        monkeypatch.setattr(gpus, "nvidia", lambda: None)
        return environment

    @staticmethod
    def build_in(environment: Environment) -> str:
        found = readiness._torch_of(environment)
        assert found is not None
        return found.version

    def test_torch_is_really_exchanged_and_then_left(
        self, backend: Environment, capsys: pytest.CaptureFixture[str]
    ) -> None:
        readiness.make_ready([backend])
        assert self.build_in(backend) == "9.9+cpu"
        capsys.readouterr()

        readiness.make_ready([backend], Wish("cuda"))
        assert self.build_in(backend) == "9.9+cu130"
        told = subprocess.run(
            [environments.python_of(backend), "-m", "pip", "list"], capture_output=True, text=True, check=True
        )
        assert "9.9+cu130" in told.stdout, "pip knows it, too"
        assert "from where pip looks" in capsys.readouterr().out

        for wish in (Wish(), Wish("cuda")):
            readiness.make_ready([backend], wish)
            assert self.build_in(backend) == "9.9+cu130"
        assert "Installing" not in capsys.readouterr().out

        backend.lock.write_text("# a new release\n", encoding="utf-8")
        readiness.make_ready([backend])
        assert self.build_in(backend) == "9.9+cu130", "what was chosen stays"

        readiness.make_ready([backend], Wish("auto"))
        assert self.build_in(backend) == "9.9+cpu"

    def test_wish_that_cannot_be_fulfilled_harms_nothing(self, backend: Environment) -> None:
        readiness.make_ready([backend])
        before = (backend.folder / STAMP).read_text(encoding="utf-8")
        with pytest.raises(Problem, match=r"no build of 9\.9 built for Intel's GPUs"):
            readiness.make_ready([backend], Wish("xpu"))
        assert (backend.folder / STAMP).read_text(encoding="utf-8") == before
        assert environments.is_complete(backend)

    def test_environment_of_an_older_release_is_complete(self, backend: Environment) -> None:
        """Its stamp says nothing of torch."""
        readiness.make_ready([backend])
        stamp = backend.folder / STAMP
        said = json.loads(stamp.read_text(encoding="utf-8"))
        del said["torch"], said["torch index"]
        stamp.write_text(json.dumps(said), encoding="utf-8")
        assert environments.is_complete(backend)
        assert environments.lacks(backend, {"torch": "cpu"}) == "made with another build of torch"

    def test_full_disk_is_said_before_torch_comes(self, backend: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
        readiness.make_ready([backend])
        monkeypatch.setitem(torch_wheel.ROOM_GB, "cuda", 1e9)
        with pytest.raises(Problem, match="make room"):
            readiness.make_ready([backend], Wish("cuda"))
        assert environments.is_complete(backend)


class TestBuild:
    def test_that_of_these_tests(self) -> None:
        torch = pytest.importorskip("torch")
        found = torch_build.installed()
        assert found is not None
        assert (found.version, found.cuda) == (torch.__version__, torch.version.cuda or "")

    @pytest.mark.parametrize(
        ("said", "kind"),
        [
            ("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n", "cpu"),
            ("__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", "cuda"),
            ("__version__ = '2.13.0'\ncuda = '13.0'\n", "cuda"),
            ("__version__ = '2.13.0+rocm7.2'\ncuda: Optional[str] = None\nhip: Optional[str] = '7.2.5'\n", "rocm"),
            ("__version__ = '2.13.0+xpu'\nhip = None\nxpu: Optional[str] = '20250301'\n", "xpu"),
        ],
    )
    def test_kind_is_what_torch_says(self, said: str, kind: str, tmp_path: Path) -> None:
        (tmp_path / "version.py").write_text(f"from typing import Optional\n__all__ = ['cuda']\n{said}", "utf-8")
        found = torch_build.read(tmp_path)
        assert found is not None
        assert (found.kind, found.release) == (kind, "2.13.0")

    @pytest.mark.parametrize("content", [None, b"", b"cuda = '13.0'\n", b"if:", b"\xff\xfe\x00", b"\0"])
    def test_none_that_can_be_read(self, content: bytes | None, tmp_path: Path) -> None:
        if content is not None:
            (tmp_path / "version.py").write_bytes(content)
        assert torch_build.read(tmp_path) is None


class TestGpus:
    @pytest.fixture
    def disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """What Linux shows of its devices."""
        monkeypatch.setattr(gpus, "ROOT", tmp_path)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        (tmp_path / "bin").mkdir()
        (tmp_path / "sys/class/drm").mkdir(parents=True)
        return tmp_path

    @staticmethod
    def card(disk: Path, vendor: str, memory: int | None = None, address: str = "0000:03:00.0") -> None:
        device = disk / "devices" / address
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n", encoding="utf-8")
        if memory is not None:
            (device / "mem_info_vram_total").write_text(f"{memory}\n", encoding="utf-8")
        for name in ("card1", "card1-HDMI-A-1"):
            (disk / "sys/class/drm" / name).mkdir()
        (disk / "sys/class/drm/card1/device").symlink_to(device)

    @staticmethod
    def smi(place: Path, said: str, knows_capability: bool = True) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        refuses = "" if knows_capability else 'case "$1" in *compute_cap*) echo "not a valid field"; exit 2;; esac\n'
        place.write_text(f"#!/bin/sh\n{refuses}echo '{said}'\n", encoding="utf-8")
        place.chmod(0o755)

    def test_none(self, disk: Path) -> None:
        assert gpus.found() == Gpus()
        assert Gpus().kind == "cpu"

    @pytest.mark.parametrize(
        ("said", "nvidia"),
        [
            ("580.65.06, 8.9", Nvidia(580, (8, 9))),
            ("580.65.06, 12.0\n580.65.06, 6.1", Nvidia(580, (6, 1))),
            ("571.96, [N/A]", Nvidia(571)),
            ("No devices were found", None),
        ],
    )
    def test_nvidias_driver_is_asked(self, said: str, nvidia: Nvidia | None, disk: Path) -> None:
        self.smi(disk / "bin/nvidia-smi", said)
        assert gpus.nvidia() == nvidia

    def test_old_driver_knows_no_capability(self, disk: Path) -> None:
        self.smi(disk / "bin/nvidia-smi", "450.10", knows_capability=False)
        assert gpus.nvidia() == Nvidia(450)

    def test_windows_linux_has_its_program_elsewhere(self, disk: Path) -> None:
        self.smi(disk / "usr/lib/wsl/lib/nvidia-smi", "591.44, 8.6")
        assert gpus.found().nvidia == Nvidia(591, (8, 6))

    def test_windows_has_it_in_system32(self, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gpus, "sys", SimpleNamespace(platform="win32"))
        monkeypatch.setenv("SYSTEMROOT", str(disk / "Windows"))
        self.smi(disk / "Windows/System32/nvidia-smi.exe", "580.97, 8.6")
        assert gpus.found() == Gpus(Nvidia(580, (8, 6)))

    def test_driver_without_its_program(self, disk: Path) -> None:
        (disk / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
        assert gpus.nvidia() == Nvidia()
        said = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build\nGCC version: 12.2.0"
        (disk / "proc/driver/nvidia/version").write_text(said, encoding="utf-8")
        assert gpus.nvidia() == Nvidia(580)

    @pytest.mark.parametrize(
        ("vendor", "memory", "kfd", "kind"),
        [
            ("0x1002", 16 << 30, True, "rocm"),
            ("0x1002", 16 << 30, False, "cpu"),
            ("0x1002", 512 << 20, True, "cpu"),
            ("0x1002", None, True, "cpu"),
            ("0x10de", 16 << 30, True, "cpu"),
        ],
    )
    def test_amd(self, vendor: str, memory: int | None, kfd: bool, kind: str, disk: Path) -> None:
        self.card(disk, vendor, memory)
        if kfd:
            (disk / "dev").mkdir()
            (disk / "dev/kfd").touch()
        assert gpus.found().kind == kind

    @pytest.mark.parametrize(("address", "kind"), [("0000:03:00.0", "xpu"), ("0000:00:02.0", "cpu")])
    def test_intel(self, address: str, kind: str, disk: Path) -> None:
        self.card(disk, "0x8086", address=address)
        assert gpus.found().kind == kind
