"""What a process that must not import torch can still use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import elevator
import elevator.text


@pytest.mark.parametrize(
    "module", ["elevator", "elevator.plan", "elevator.errors", "elevator.vocabulary", "elevator.text.prompt"]
)
def test_light_modules_import_nothing_heavy(module):
    code = (
        f"import {module}, sys; from elevator import ElevatorError, Plan, LowPass, known_words, unknown_words; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'diffusers', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sampling_imports_no_diffusers():
    modules = "elevator.sampler, elevator.models.loras, elevator.models.preview"
    code = f"import {modules}, sys; sys.exit('diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("package", [elevator, elevator.text], ids=["elevator", "text"])
def test_every_public_name_exists(package):
    assert {name for name in package.__all__ if not hasattr(package, name)} == set()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
