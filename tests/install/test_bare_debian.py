"""The two commands on a Debian 12 with nothing but Python and pip, made by debootstrap in a folder.

The folder gets this machine's way to its packages (pip's and apt's settings) and a fresh clone of what is committed.
Mounts are private to each command, so that none outlives it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import AWKWARD

PROMPT = "a pumpkin moving right, blue background"
CLONE = f"/srv/{AWKWARD}/elevator"
SETTINGS = ("PIP_", "SSL_", "REQUESTS_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""Environment variables that say how to reach packages."""

# A new process namespace: whatever a command leaves running shows there, and ends with it.
ENTER = """
root=$1; shift
mount -t proc proc "$root/proc"; mount --rbind /sys "$root/sys"; mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do mount --bind -o ro "$1" "$root$1"; shift; done; shift
exec chroot "$root" "$@"
"""


def mirror() -> str | None:
    """The Debian mirror that this machine's apt uses."""
    for file in [*Path("/etc/apt/sources.list.d").glob("*"), Path("/etc/apt/sources.list")]:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if found := re.search(r"^(?:URIs:|deb(?: \[.*?\])?) *(\S+/debian)/?\s", text, re.MULTILINE):
            return found[1]
    return None


def unfit() -> str | None:
    """Why this cannot be tried here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    if missing := [tool for tool in ("debootstrap", "unshare", "git") if shutil.which(tool) is None]:
        return f"needs {', '.join(missing)}"
    return None if mirror() else "apt's sources name no Debian mirror"


pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(unfit() is not None, reason=unfit() or ""),
]


@dataclass(frozen=True)
class Bare:
    """A bare system in a folder."""

    root: Path
    lent: tuple[Path, ...]
    """Folders and files of this machine that are visible inside."""
    variables: dict[str, str]

    @property
    def clone(self) -> Path:
        """The clone, seen from outside."""
        return self.root / CLONE.lstrip("/")

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the clone."""
        variables = {
            **self.variables,
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
        }
        inside = [*("env", "-i"), *(f"{name}={value}" for name, value in variables.items())]
        inside += ["sh", "-c", f"cd '{CLONE}' && {command}"]
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        return subprocess.run(
            [*enter, "sh", "-ec", ENTER, "_", self.root, *self.lent, "--", *inside],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )


@pytest.fixture(scope="module")
def bare(root: Path) -> Iterator[Bare]:
    """Debian 12 with Python and pip, and a fresh clone."""
    with tempfile.TemporaryDirectory(prefix="bare-debian-") as folder:
        system = Path(folder)
        subprocess.run(
            ["debootstrap", "--variant=minbase", "--include=python3,python3-pip", "bookworm", system, str(mirror())],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        system.chmod(0o755)  # others than root live there too
        for file in ("/etc/resolv.conf", "/etc/hosts"):
            shutil.copy(file, system / file.lstrip("/"))
        variables = {name: value for name, value in os.environ.items() if name.upper().startswith(SETTINGS)}
        told = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
        )
        settings = dict(re.findall(r"^global\.([\w-]+)='(.*)'$", told.stdout, re.MULTILINE))
        lines = [f"{name} = {value}" for name, value in settings.items()]
        (system / "etc" / "pip.conf").write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")
        lent = _lend(system, " ".join([*settings.values(), *variables.values()]))
        bare = Bare(system, lent, variables)
        bare.clone.parent.mkdir(parents=True)
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", root, bare.clone], check=True)
        yield bare


def _lend(system: Path, text: str) -> tuple[Path, ...]:
    """Make room in the system for the absolute paths that the settings name. Returns those that exist."""
    named = {Path(path) for path in re.findall(r"(?<![:/\w])/[\w./-]+|(?<=file://)/[\w./-]+", text)}
    # Of an index folder also what lies beside it: its pages link there.
    paths = {path.parent if path.name == "simple" else path for path in named if path.exists()}
    for path in paths:
        place = system / str(path).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            place.touch()
    return tuple(sorted(paths))


def test_it_is_bare(bare: Bare) -> None:
    assert bare.run("python3 -c 'import ensurepip'").returncode != 0
    assert "externally-managed" in bare.run("python3 -m pip install numpy").stdout


def test_without_root_the_one_command_is_said(bare: Bare) -> None:
    bare.run(f"chown -R nobody '{CLONE}'")
    done = bare.run("HOME=/tmp setpriv --reuid=nobody --clear-groups python3 install.py demo")
    assert done.returncode == 1
    last = done.stdout.strip().splitlines()[-1]
    assert re.search(r"Run this once: sudo apt-get install -y libx11-6 .*libgl1", last)
    bare.run(f"chown -R root '{CLONE}'")


def test_demo_from_nothing_and_again(bare: Bare) -> None:
    count = "ls -d /proc/[0-9]* | wc -l"
    alone = bare.run(count).stdout
    first = bare.run(f"python3 install.py demo '{PROMPT}' && {count}")
    assert first.returncode == 0, first.stdout
    print(first.stdout)
    assert first.stdout.splitlines()[-1:] == alone.splitlines(), "a process stayed behind"
    again = bare.run(f"python3 install.py demo '{PROMPT}' --style pixel_art --seed 2")
    assert again.returncode == 0, again.stdout
    assert "Installing packages" not in again.stdout
    for name in ("demo.blend", "demo.mp4", "contact_sheet.png"):
        assert (bare.clone / "demo" / name).stat().st_size > 1000


def test_suite_from_nothing(bare: Bare) -> None:
    done = bare.run("python3 install.py test")
    print(done.stdout[-4000:])
    assert done.returncode == 0
