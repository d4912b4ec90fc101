"""What a GPU machine without a network may lack, as wheels: `python -m tests.gpu pack FOLDER`.

Such a machine is expected to have Python 3.12 on Linux, torch, transformers, opencv, pillow, psutil and safetensors.
The folder is to be one that git ignores, and travels with the tracked files.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from elevator.arguments import ArgumentParser
from tests.gpu.parts import ROOT

PACKAGES = (
    *("accelerate", "certifi", "charset-normalizer", "diffusers", "idna", "importlib_metadata", "msgspec", "peft"),
    *("pyzmq", "requests", "urllib3", "zipp"),
)
"""Those that the product or its tests need, and those that these ask for, where such a machine may lack them."""
LOCKS = ("requirements.lock", "development.lock")
PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 26, 27, 28, 31, 34, 35)))
USE = "python3 -m pip install -q --no-index --no-deps --no-compile --target /tmp/site {folder}/*.whl"


def pins() -> list[str]:
    """`name==version` of the packages, as the locks have them."""
    lines = [
        line.split()[0] for lock in LOCKS for line in (ROOT / lock).read_text("utf-8").splitlines() if "==" in line
    ]
    return [line for line in dict.fromkeys(lines) if line.partition("==")[0] in PACKAGES]


def command(folder: Path) -> list[str]:
    """The download by pip, from the registry that it is set up with."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    fixed = ["--no-deps", "--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"]
    return [sys.executable, "-m", "pip", "download", "-q", *fixed, *platforms, "-d", str(folder), *pins()]


def main(words: list[str]) -> int:
    parser = ArgumentParser(prog="python -m tests.gpu pack", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the wheels go")
    folder = parser.parse_args(words).folder
    if (code := subprocess.run(command(folder), check=False).returncode) != 0:
        return code
    size = sum(file.stat().st_size for file in folder.glob("*.whl"))
    print(f"{folder}: {size / 1e6:.1f} MB. There, in the root of the project:")
    print(f"  {USE.format(folder=folder)}")
    print("  export PYTHONPATH=/tmp/site:$PWD && python3 -m tests.gpu --minutes 8 --out out/gpu")
    return 0
