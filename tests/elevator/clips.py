"""Clips made by the command line in this process, of the recorded models."""

from __future__ import annotations

import numpy as np
from PIL import Image

from elevator.cli.command_line import main
from tests.elevator.golden import FOLDER

PLAN = ("--set", "steps=3", "--set", "refine=[2]", "--set", "refine_steps=1")
SMALL = (*PLAN, "--frames", "2", "--size", "32x16")
MODELS = ("--t2i", str(FOLDER / "t2i"), "--t2v", str(FOLDER / "zeroscope"))


def run(*arguments):
    return main([*map(str, arguments), "--quiet"])


def frames_of(folder):
    return np.stack([np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))])


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def said(capsys, count=1):
    """The sentences on stderr, without the bars of transformers, which `__main__` turns off."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line and "Loading weights" not in line]
    assert len(lines) == count, lines
    return "\n".join(lines)
