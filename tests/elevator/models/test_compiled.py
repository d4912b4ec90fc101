"""Compiled layers: the same numbers, compiled once for each kind of call, and never again within a clip."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from elevator import Plan, elevate
from elevator.models.compiled import LAYERS, compile_layers
from tests.elevator.golden import models

PLAN = Plan(steps=5, refine=(4,), refine_steps=2)


def test_nothing_is_compiled_twice() -> None:
    pair = models("zeroscope")
    compiled: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    def clip(of: Any, seed: int) -> tuple[np.ndarray, list[int]]:
        """Its frames, and how many graphs there were after each step."""
        steps, counts = [], []
        for step in elevate(of, prompt="a dog", plan=PLAN, frames=2, height=32, width=32, seed=seed):
            steps.append(step)
            counts.append(len(compiled))
        return np.stack([step.frame[1] for step in steps if step.frame is not None]), counts

    torch._dynamo.reset()
    t2i, t2v = copy.deepcopy(pair.t2i.unet), copy.deepcopy(pair.t2v.unet)
    assert compile_layers(t2i, backend) > 5
    assert compile_layers(t2v, backend) > 5
    for network in (t2i, t2v):
        made = {type(each).__name__ for each in network.modules() if each._compiled_call_impl is not None}
        assert made == {type(each).__name__ for each in network.modules()} & set(LAYERS), "those, and no others"
    fast = replace(pair, t2i=replace(pair.t2i, unet=t2i), t2v=replace(pair.t2v, unet=t2v))
    frames, counts = clip(fast, 1)
    # Painting and refining with two prompts, inverting and correcting with one.
    phases = [counts[1], counts[2]]
    assert phases[0] == counts[0] + phases[0] > 0
    first_correction = len(counts) - 2 - 1
    assert counts[first_correction] == counts[-1], "nothing is compiled after each kind of call has been made"
    _, again = clip(fast, 2)
    assert set(again) == {counts[-1]}, "another clip of the size compiles nothing"
    assert (np.abs(frames.astype(int) - clip(pair, 1)[0]) <= 1).all()
