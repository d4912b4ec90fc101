"""Which build of torch lies in a folder? torch's own file says it; the metadata of wheels does not always."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TorchBuild:
    """What torch says of itself."""

    version: str
    """Such as "2.13.0+cu130"."""
    cuda: str = ""
    """CUDA's version; empty: built without it. So with the next two."""
    hip: str = ""
    """That of AMD's ROCm."""
    xpu: str = ""
    """That of Intel's compiler for GPUs."""

    @property
    def kind(self) -> str:
        """ "cuda", "rocm", "xpu" or "cpu"."""
        return "cuda" if self.cuda else "rocm" if self.hip else "xpu" if self.xpu else "cpu"

    @property
    def release(self) -> str:
        """The version without the name of its build: "2.13.0"."""
        return self.version.partition("+")[0]


def installed() -> TorchBuild | None:
    """The torch that this Python would import, which it does not do; None: there is none."""
    spec = importlib.util.find_spec("torch")
    return None if spec is None or spec.origin is None else read(Path(spec.origin).parent)


def read(package: Path) -> TorchBuild | None:
    """The build in the folder `torch` of a site-packages; None: there is none that can be read."""
    try:
        content = ast.parse((package / "version.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    said = {}
    for line in content.body:
        target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
        value = getattr(line, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            said[target.id] = value.value
    if "__version__" not in said:
        return None
    return TorchBuild(said["__version__"], *(said.get(name, "") for name in ("cuda", "hip", "xpu")))
