"""Where the server thinks that sampling will happen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.installer import torch_build
from backend.installer.torch_build import TorchBuild
from backend.server import devices
from backend.server.devices import likely_device, worker_devices

CUDA = TorchBuild("2.13.0+cu130", cuda="13.0")
ROCM = TorchBuild("2.13.0+rocm7.2", hip="7.2")
XPU = TorchBuild("2.13.0+xpu", xpu="20250301")
CPU = TorchBuild("2.13.0+cpu")


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    devices._built_for.cache_clear()
    yield
    devices._built_for.cache_clear()


def here(
    monkeypatch: pytest.MonkeyPatch,
    build: TorchBuild | None,
    system: str = "linux",
    libraries: tuple[str, ...] = (),
    machine: str = "x86_64",
) -> None:
    """A machine with this build of torch and these libraries of drivers."""
    monkeypatch.setattr(torch_build, "installed", lambda: build)
    monkeypatch.setattr(devices, "sys", SimpleNamespace(platform=system))
    monkeypatch.setattr(devices, "platform", SimpleNamespace(machine=lambda: machine))
    find = {name: f"{name}.dll" for name in libraries}.get
    monkeypatch.setattr(devices, "ctypes", SimpleNamespace(util=SimpleNamespace(find_library=find)))


@pytest.mark.parametrize(
    ("build", "files", "device"),
    [
        (CUDA, ("nvidiactl",), "cuda"),
        (CUDA, ("dxg",), "cuda"),
        (CUDA, (), "cpu"),
        (CUDA, ("kfd",), "cpu"),
        (ROCM, ("kfd",), "cuda"),
        (ROCM, ("nvidiactl",), "cpu"),
        (XPU, ("dri/renderD128",), "xpu"),
        (XPU, ("dri/card0",), "cpu"),
        (CPU, ("nvidiactl", "kfd", "dri/renderD128"), "cpu"),
        (None, ("nvidiactl",), "cpu"),
    ],
)
def test_linux(
    build: TorchBuild | None, files: tuple[str, ...], device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch, build)
    monkeypatch.setattr(devices, "DEVICE_FILES", tmp_path)
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert likely_device("auto") == device
    assert likely_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize(
    ("build", "libraries", "device"),
    [
        (CUDA, ("nvcuda",), "cuda"),
        (CUDA, ("ze_loader",), "cpu"),
        (XPU, ("ze_loader",), "xpu"),
        (CPU, ("nvcuda", "ze_loader"), "cpu"),
        (None, ("nvcuda",), "cpu"),
    ],
)
def test_windows(
    build: TorchBuild | None, libraries: tuple[str, ...], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its usual wheel calls itself 2.13.0, without a word on the CPU that it is built for."""
    here(monkeypatch, build, "win32", libraries)
    assert likely_device("auto") == device
    assert worker_devices("auto") == ("auto",)


@pytest.mark.parametrize(
    ("build", "machine", "device"), [(CPU, "arm64", "mps"), (CPU, "x86_64", "cpu"), (None, "arm64", "cpu")]
)
def test_macs(build: TorchBuild | None, machine: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, build, "darwin", machine=machine)
    assert likely_device("auto") == device


@pytest.mark.parametrize(
    ("files", "workers"),
    [
        (("nvidiactl", "nvidia0", "nvidia1", "nvidia-uvm"), ("cuda:0", "cuda:1")),
        (("nvidiactl", "nvidia0"), ("auto",)),
        (("dxg",), ("auto",)),
        ((), ("auto",)),
    ],
)
def test_a_worker_for_each_gpu(
    files: tuple[str, ...], workers: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch, CUDA)
    monkeypatch.setattr(devices, "DEVICE_FILES", tmp_path)
    for name in files:
        (tmp_path / name).touch()
    assert worker_devices("auto") == workers
    assert worker_devices("cuda:0, cpu") == ("cuda:0", "cpu")
    here(monkeypatch, CUDA, "win32", ("nvcuda",))
    assert worker_devices("auto") == ("auto",), "Windows lists none there"
    here(monkeypatch, CPU)
    devices._built_for.cache_clear()
    assert worker_devices("auto") == ("auto",), "none can be used"
