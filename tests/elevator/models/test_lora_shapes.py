"""Each kind of a LoRA's difference has the weight's shape, or is none: at every side that may differ."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from elevator.models.loras.algorithms import (
    Decomposed,
    Difference,
    Factors,
    Full,
    Generalized,
    Hadamard,
    Kronecker,
    LowRankPair,
    Rotation,
)

LINEAR, KERNEL, NORM = (3, 4), (3, 4, 2, 2), (3,)


def ones(*shape: int) -> Tensor:
    return torch.ones(shape)


def pair(down: tuple[int, ...], up: tuple[int, ...], middle: tuple[int, ...] | None = None) -> LowRankPair:
    return LowRankPair(ones(*down), ones(*up), None if middle is None else ones(*middle), 1.0)


def factors(*shapes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    first, second, *core = (ones(*shape) for shape in shapes)
    return first, second, core[0] if core else None


def hadamard(*shapes: tuple[int, ...], other: tuple[tuple[int, ...], ...] = ((3, 2), (2, 4))) -> Hadamard:
    return Hadamard(factors(*shapes), factors(*other), 1.0)


def rotation(blocks: tuple[int, ...], rescale: int | None = None) -> Rotation:
    return Rotation(torch.zeros(blocks), None if rescale is None else ones(rescale), 0.0)


WHOLE = Full(ones(3, 4))
FIT: list[tuple[Difference, tuple[int, ...]]] = [
    (pair((2, 4), (3, 2)), LINEAR),
    (pair((2, 4, 2, 2), (3, 2, 1, 1)), KERNEL),
    (pair((2, 4, 2, 2), (3, 2)), KERNEL),
    (pair((2, 4, 1, 1), (3, 2, 1, 1), (2, 2, 2, 2)), KERNEL),
    (hadamard((3, 2), (2, 4)), LINEAR),
    (hadamard((3, 2), (2, 4, 2, 2), other=((3, 5), (5, 4, 2, 2))), KERNEL),
    (hadamard((2, 3), (2, 4), (2, 2, 2, 2), other=((3, 2), (2, 4, 2, 2))), KERNEL),
    (Kronecker(ones(3, 2), ones(1, 2), 1.0), LINEAR),
    (Kronecker(factors((3, 1), (1, 2)), ones(1, 2), 1.0), LINEAR),
    (Generalized((ones(4, 2), ones(2, 4)), pair((2, 4), (3, 2))), LINEAR),
    (Factors(ones(3), on_input=False), LINEAR),
    (Factors(ones(4), on_input=True), KERNEL),
    (Factors(ones(3), on_input=False), NORM),
    (rotation((2, 2, 2)), (4, 5)),
    (rotation((2, 2, 2), rescale=4), (4, 5)),
    (rotation((2, 4, 2, 2)), (8, 5)),
    (Decomposed(WHOLE, ones(3), on_input=False), LINEAR),
    (Decomposed(WHOLE, ones(4), on_input=True), LINEAR),
]
DIFFER: list[tuple[Difference, tuple[int, ...]]] = [
    (pair((2, 4), (3, 2)), NORM),
    (pair((2, 4), (2, 2)), LINEAR),
    (pair((2, 4), (3, 1)), LINEAR),
    (pair((2, 5), (3, 2)), LINEAR),
    (pair((2, 4, 2, 1), (3, 2)), KERNEL),
    (pair((2, 4, 2, 2), (3, 2, 2, 1)), KERNEL),
    (pair((2, 4, 1, 1), (3, 2, 1, 1), (2, 2, 2, 1)), KERNEL),
    (pair((2, 4, 1, 1), (3, 2, 1, 1), (1, 2, 2, 2)), KERNEL),
    (pair((2, 4, 1, 1), (3, 2, 1, 1), (2, 1, 2, 2)), KERNEL),
    (pair((2, 4, 2, 1), (3, 2, 1, 1), (2, 2, 2, 2)), KERNEL),
    (pair((2, 4, 1, 1), (3, 2, 2, 1), (2, 2, 2, 2)), KERNEL),
    (hadamard((3, 1), (2, 4)), LINEAR),
    (hadamard((3, 2), (2, 4), other=((3, 1), (2, 4))), LINEAR),
    (hadamard((3, 2), (2, 4), other=((3, 2), (2, 5))), LINEAR),
    (hadamard((3,), (3, 4)), LINEAR),
    (hadamard((3, 2), (2,)), LINEAR),
    (hadamard((3, 2, 1), (1, 4)), LINEAR),
    (hadamard((2, 3), (2, 4), (2, 2)), KERNEL),
    (hadamard((2, 3), (2, 4, 1), (2, 2, 2, 2)), KERNEL),
    (hadamard((2, 3), (2, 4), (1, 2, 2, 2)), KERNEL),
    (hadamard((2, 3), (2, 4), (2, 1, 2, 2)), KERNEL),
    (Kronecker(factors((3, 1), (2, 2)), ones(1, 2), 1.0), LINEAR),
    (Kronecker(ones(3, 2), factors((1, 1), (2, 2)), 1.0), LINEAR),
    (Generalized((ones(4, 2), ones(2, 4)), pair((2, 4), (2, 2))), LINEAR),
    (Generalized((ones(3, 2), ones(2, 4)), pair((2, 4), (3, 2))), LINEAR),
    (Generalized((ones(4, 2), ones(3, 4)), pair((2, 4), (3, 2))), LINEAR),
    (Generalized((ones(4, 2), ones(2, 3)), pair((2, 4), (3, 2))), LINEAR),
    (Factors(ones(4), on_input=False), LINEAR),
    (Factors(ones(3), on_input=True), LINEAR),
    (Factors(ones(3), on_input=True), NORM),
    (rotation((2, 2, 2)), (5, 4)),
    (rotation((2, 2, 1)), (4, 5)),
    (rotation((2, 2, 2)), (4,)),
    (rotation((2, 2, 2), rescale=3), (4, 5)),
    (rotation((1, 4, 1, 1)), (4, 5)),
    (rotation((2, 3, 2, 2)), (6, 5)),
    (Decomposed(pair((2, 4), (2, 2)), ones(3), on_input=False), LINEAR),
    (Decomposed(Full(ones(3, 5)), ones(3), on_input=False), LINEAR),
    (Decomposed(WHOLE, ones(4), on_input=False), LINEAR),
    (Decomposed(WHOLE, ones(3), on_input=True), LINEAR),
    (Decomposed(Full(ones(3)), ones(3), on_input=False), NORM),
]


@pytest.mark.parametrize(("difference", "shape"), FIT, ids=str)
def test_what_fits_has_as_many_numbers_as_the_weight(difference: Difference, shape: tuple[int, ...]) -> None:
    made = difference.of(torch.ones(shape), 0.5)
    assert made is not None
    assert made.numel() == torch.ones(shape).numel()


@pytest.mark.parametrize(("difference", "shape"), DIFFER, ids=str)
def test_what_has_another_side_is_none(difference: Difference, shape: tuple[int, ...]) -> None:
    assert difference.of(torch.ones(shape), 0.5) is None
