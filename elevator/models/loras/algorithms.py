"""What each kind of LoRA makes of a layer's weight, from a few small tensors.

W is the layer's weight (out, in[, kh, kw]), r the rank, α the scale that the file names. Sources:

* LoRA: Hu et al. (arXiv 2106.09685): (α/r) · B A, for convolutions with a tensor between the two (LyCORIS).
* LoHa: Hyeon-Woo et al. (arXiv 2108.06098) and LyCORIS (Yeh et al., arXiv 2309.14859): (α/r) · (B₁A₁) ⊙ (B₂A₂).
* LoKr: LyCORIS: (α/r) · (w₁ ⊗ w₂), each whole or a product.
* DoRA: Liu et al. (arXiv 2402.09353): m · (W + Δ) / ‖W + Δ‖, Δ being one of the above.
* GLoRA: Chavan et al. (arXiv 2306.07967), as LyCORIS has it: (α/r) · (W A₁A₂ + B₁B₂).
* (IA)³: Liu et al. (arXiv 2205.05638): W times a number for each output or input.
* OFT: Qiu et al. (arXiv 2306.07280); BOFT: Liu et al. (arXiv 2311.06243), as LyCORIS has them: a rotation of W's rows,
  each block of it (I + Q)(I − Q)⁻¹ with Q = P − Pᵀ.
* Full difference: the difference itself.

All are differences from the base's own weight, so that several files add up in any order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Difference(Protocol):
    """What is added to a layer's weight."""

    def of(self, weight: Tensor, strength: float) -> Tensor | None:
        """The difference at this strength from `weight`, which is float32; None if they do not fit each other.

        Its shape may be another with as many elements in the same order.
        """


def _like(tensor: Tensor, weight: Tensor) -> Tensor:
    """As float32 on the weight's device."""
    return tensor.to(weight.device, torch.float32)


@dataclass(frozen=True, eq=False)
class LowRankPair:
    """A LoRA's difference, as a product of small tensors."""

    down: Tensor
    """A, (r, in[, kh, kw])."""
    up: Tensor
    """B, (out, r[, 1, 1])."""
    middle: Tensor | None
    """(r, r, kh, kw) between the two; A is then (r, in, 1, 1)."""
    scale: float
    """α/r."""

    def of(self, weight: Tensor, strength: float) -> Tensor | None:
        """See `Difference`."""
        up, down = _like(self.up, weight), _like(self.down, weight)
        rank, kernel = down.shape[0], weight.shape[2:]
        if weight.ndim < 2:
            return None
        if (up.shape[0], up.shape[1], down.shape[1]) != (weight.shape[0], rank, weight.shape[1]):
            return None
        if self.middle is not None:
            if (*self.middle.shape,) != (rank, rank, *kernel) or math.prod((*up.shape[2:], *down.shape[2:])) != 1:
                return None
            middle = _like(self.middle, weight).flatten(2)
            product = torch.einsum("or,rsk,si->oik", up.flatten(1), middle, down.flatten(1))
        elif math.prod(up.shape[2:]) != 1 or math.prod(down.shape[2:]) != math.prod(kernel):
            return None
        else:
            # A convolution's A holds the kernel and B is 1 × 1, so both kinds are a product of matrices.
            product = up.flatten(1) @ down.flatten(1)
        return strength * self.scale * product


def _product(first: Tensor, second: Tensor, core: Tensor | None) -> Tensor:
    """LyCORIS' product of (out, r) and (r, in[· kernel]); with a core (r, r, kh, kw), of (r, out) and (r, in)."""
    if core is None:
        return first @ second.flatten(1)
    return torch.einsum("ijk,ip,jq->pqk", core.flatten(2), first, second).flatten(1)


def _multiplies(first: Tensor, second: Tensor, core: Tensor | None) -> bool:
    """Whether `_product` takes them."""
    if first.ndim != 2 or second.ndim < 2:
        return False
    if core is None:
        return first.shape[1] == second.shape[0]
    return core.ndim > 2 and second.ndim == 2 and core.shape[:2] == (first.shape[0], second.shape[0])


@dataclass(frozen=True, eq=False)
class Hadamard:
    """A LoHa's difference: two products, multiplied element by element."""

    first: tuple[Tensor, Tensor, Tensor | None]
    """`hada_w1_a`, `hada_w1_b`, `hada_t1`."""
    second: tuple[Tensor, Tensor, Tensor | None]
    scale: float
    """α/r."""

    def of(self, weight: Tensor, strength: float) -> Tensor | None:
        """See `Difference`."""
        if not (_multiplies(*self.first) and _multiplies(*self.second)):
            return None
        one, other = (
            _product(_like(a, weight), _like(b, weight), None if core is None else _like(core, weight))
            for a, b, core in (self.first, self.second)
        )
        return strength * self.scale * one * other if one.shape == other.shape else None


@dataclass(frozen=True, eq=False)
class Kronecker:
    """A LoKr's difference: the Kronecker product of two matrices, the second with the kernel."""

    first: Tensor | tuple[Tensor, Tensor, Tensor | None]
    """`lokr_w1`, (a, c), or its two factors."""
    second: Tensor | tuple[Tensor, Tensor, Tensor | None]
    """`lokr_w2`, (b, d[, kh, kw]), or its two factors and what is between them; a · b is out, and c · d is in."""
    scale: float
    """α/r; 1 if both are whole."""

    def of(self, weight: Tensor, strength: float) -> Tensor | None:
        """See `Difference`."""
        sides: list[Tensor] = []
        for side in (self.first, self.second):
            if isinstance(side, Tensor):
                sides.append(_like(side, weight).flatten(1))
            elif _multiplies(*side):
                a, b, core = side
                core = None if core is None else _like(core, weight)
                sides.append(_product(_like(a, weight), _like(b, weight), core))
            else:
                return None
        # The kernel is the innermost of the second's columns, and stays it: so the product is one of matrices.
        return strength * self.scale * torch.kron(*sides)


@dataclass(frozen=True, eq=False)
class Generalized:
    """A GLoRA's difference: a product on the weight's inputs, and one beside it."""

    inputs: tuple[Tensor, Tensor]
    """`a1`, (in, r), and `a2`, (r, in)."""
    beside: LowRankPair
    """Of `b1` and `b2`; with its scale."""

    def of(self, weight: Tensor, strength: float) -> Tensor | None:
        """See `Difference`."""
        first, second = (_like(side, weight).flatten(1) for side in self.inputs)
        added = self.beside.of(weight, strength)
        if added is None:
            return None
        width = weight.shape[1]
        if (first.shape[0], *second.shape) != (width, first.shape[1], width):
            return None
        turned = torch.einsum("oi...,ij->oj...", weight, first @ second)
        return strength * self.beside.scale * turned + added.view(weight.shape)


@dataclass(frozen=True, eq=False)
class Factors:
    """An (IA)³'s difference: rows or columns of the weight times what is to be added to 1."""

    factors: Tensor
    """A number each."""
    on_input: bool
    """Whether they are for the inputs, or else for the outputs."""

    def of(self, weight: Tensor, strength: float) -> Tensor | None:
        """See `Difference`."""
        axis = int(self.on_input)
        if axis >= weight.ndim or self.factors.numel() != weight.shape[axis]:
            return None
        sides = [1] * weight.ndim
        sides[axis] = -1
        return strength * weight * _like(self.factors, weight).view(sides)


@dataclass(frozen=True, eq=False)
class Full:
    """The difference as it is."""

    difference: Tensor

    def of(self, weight: Tensor, strength: float) -> Tensor | None:
        """See `Difference`."""
        return strength * _like(self.difference, weight)


@dataclass(frozen=True, eq=False)
class Rotation:
    """An OFT's difference, or a BOFT's: the weight's rows rotated block by block, and perhaps scaled."""

    blocks: Tensor
    """(n, s, s): n blocks of s rows. BOFT: (stages, n, s, s), of which each mixes rows twice as far from each other."""
    rescale: Tensor | None
    """A factor for each row."""
    constraint: float
    """The greatest norm that Q may have, over the number of rows; 0: any."""

    def of(self, weight: Tensor, strength: float) -> Tensor | None:
        """See `Difference`."""
        rows, (count, size) = len(weight), self.blocks.shape[-3:-1]
        fits = self.blocks.shape[-1] == size and count * size == rows and weight.ndim > 1
        if not fits or (self.rescale is not None and self.rescale.numel() != rows):
            return None
        one = torch.eye(size, device=weight.device)
        skew = _like(self.blocks, weight)
        skew = skew - skew.transpose(-1, -2)
        if self.constraint > 0:
            skew = skew * (self.constraint * rows / (torch.linalg.vector_norm(skew) + 1e-8)).clamp(max=1)
        turn = (one + skew) @ torch.linalg.inv_ex(one - skew).inverse
        own = weight.flatten(1)
        turned: Tensor | None
        if self.blocks.ndim == 3:
            # LyCORIS multiplies the rows by the blocks' transpose here, and by the blocks themselves in BOFT.
            added = torch.einsum("knm,kni->kmi", turn - one, own.reshape(count, size, -1))
            turned = own + strength * added.reshape(own.shape)
        else:
            turned = self._butterfly(own, one + strength * (turn - one))
        if turned is None:
            return None
        if self.rescale is not None:
            turned = turned * (1 + strength * (_like(self.rescale, weight).reshape(rows, 1) - 1))
        return turned - own

    @staticmethod
    def _butterfly(rows: Tensor, stages: Tensor) -> Tensor | None:
        """The rows after all stages; in each, rows that stand ever farther from each other come together in blocks."""
        size = stages.shape[-1]
        for number, blocks in enumerate(stages):
            apart = 2**number * (size // 2)
            if not apart or len(rows) % (2 * apart):
                return None
            together = rows.reshape(-1, 2, apart, rows.shape[1]).transpose(1, 2).reshape(-1, size, rows.shape[1])
            turned = (blocks @ together).reshape(-1, apart, 2, rows.shape[1])
            rows = turned.transpose(1, 2).reshape(rows.shape)
        return rows


@dataclass(frozen=True, eq=False)
class Decomposed:
    """A DoRA's difference: the direction of the changed weight, with a length of its own."""

    inner: Difference
    magnitude: Tensor
    """m, a length for each output or each input."""
    on_input: bool
    """Whether the lengths are for the inputs, or else for the outputs."""

    def of(self, weight: Tensor, strength: float) -> Tensor | None:
        """See `Difference`.

        At a strength other than 1 it is that part of the difference at 1, so that at 0 the weight is as it was.
        """
        axis = int(self.on_input)
        added = self.inner.of(weight, 1.0)
        if added is None or added.numel() != weight.numel() or weight.ndim < 2:
            return None
        if self.magnitude.numel() != weight.shape[axis]:
            return None
        changed = weight + added.view(weight.shape)
        others = [other for other in range(weight.ndim) if other != axis]
        length: Tensor = torch.linalg.vector_norm(changed, dim=others, keepdim=True)
        length = length + torch.finfo(torch.float32).eps  # as LyCORIS has it
        return strength * (changed * (_like(self.magnitude, weight).view(length.shape) / length) - weight)
