"""Whole Blenders with a window: a Debian in a folder for each, made once and kept outside the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    # Blender's own list lacks python3-cattr, without which 5.2 has no extensions at all.
    *("blender", "python3-cattr", "python3-numpy", "python3-requests", "python3-zstandard"),
    *("xvfb", "xauth", "xdotool", "imagemagick", "libgl1-mesa-dri", "libegl1", "libegl-mesa0", "libglx-mesa0"),
    *("mesa-vulkan-drivers", "xdg-utils"),
)
SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
ENTER = (
    'set -e; root=$1; shift; mount -t proc proc "$root/proc"; mount --rbind /sys "$root/sys";'
    ' mount --rbind /dev "$root/dev"; while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --bind "$1" "$root$1";'
    ' shift; done; shift; exec chroot "$root" env -i "$@"'
)
"""Mounts of its own for each command: none outlives it, so that the folder may be deleted at any time."""
MAKING_TAKES = 1800.0


def home_of_systems() -> Path:
    """Where they are kept: $ELEVATOR_UI_SYSTEMS, or a folder of the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ELEVATOR_UI_SYSTEMS") or Path(cache) / "video_elevator_tests")


def what_is_missing() -> str:
    """Why this machine cannot have such a system, or nothing."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root may make a Debian in a folder"
    if not Path("/etc/debian_version").exists() or shutil.which("apt-get") is None:
        return "it takes a Debian to make another one"
    return ""


@dataclass(frozen=True)
class System:
    """One Debian in a folder. `suite`: its name, as trixie."""

    suite: str

    @property
    def root(self) -> Path:
        return home_of_systems() / self.suite

    @property
    def is_there(self) -> bool:
        return (self.root / "made").exists()

    def make(self) -> None:
        """From nothing to a Blender: about two minutes and 1.5 GB. Raises CalledProcessError."""
        if shutil.which("debootstrap") is None:
            _run(["apt-get", "install", "-y", "--no-install-recommends", "debootstrap"])
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.parent.mkdir(parents=True, exist_ok=True)
        _run(["debootstrap", "--variant=minbase", "--components=main", self.suite, self.root, _mirror()])
        services = self.root / "usr/sbin/policy-rc.d"
        services.write_text("#!/bin/sh\nexit 101\n")  # start none
        services.chmod(0o755)
        (self.root / "etc/dpkg/dpkg.cfg.d/slim").write_text(
            "".join(f"path-exclude=/usr/share/{name}/*\n" for name in ("doc", "man"))
        )
        # A mirror may be behind its own date of expiry, as that of sid often is.
        (self.root / "etc/apt/apt.conf.d/99old").write_text('Acquire::Check-Valid-Until "false";\n')
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        for words in (("update",), ("install", "-y", "--no-install-recommends", *PACKAGES), ("clean",)):
            _run(self.command(["apt-get", *words], {"DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}))
        (self.root / "made").write_text("")

    def command(
        self, words: Sequence[str | Path], env: Mapping[str, str | Path], binds: Sequence[Path] = ()
    ) -> list[str]:
        """The command that runs one inside. binds: folders of this machine that are seen there at the same place."""
        base = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", "TERM": "dumb"}
        given = [f"{name}={value}" for name, value in {**base, **env}.items()]
        alone = ["unshare", "--mount", "--propagation", "private", "bash", "-c", ENTER, "_", str(self.root)]
        return [*alone, *map(str, binds), "--", *given, *map(str, words)]


def _mirror() -> str:
    """Where this machine's own Debian comes from."""
    for file in map(Path, SOURCES):
        if file.exists() and (
            found := re.search(r"^(?:URIs:|deb) *(?:\[.*\] )?(\w+://\S+)", file.read_text(), re.MULTILINE)
        ):
            return found[1]
    raise AssertionError(f"no mirror is named in {' or '.join(SOURCES)}")


def _run(words: Sequence[str | Path]) -> None:
    done = subprocess.run(
        words,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=MAKING_TAKES,
    )
    assert done.returncode == 0, f"{words[0]}: {(done.stdout + done.stderr)[-3000:]}"
