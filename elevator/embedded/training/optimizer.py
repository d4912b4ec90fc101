"""Two optimisers in one step: Muon for matrices, AdamW for everything else.

Muon (torch.optim) moves a weight along the nearest orthogonal matrix to its momentum, so that no direction of
the matrix is left behind. On these UNets a minute with it gives what more than one and a half give with AdamW alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

_NOT_FOR_MUON = ("embedding", "conv_in", "conv_out", "head.", "lora_")
"""The way in and out of a network, and low-rank pairs: their rows are not alike, AdamW treats each by itself."""


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon trains this parameter; a convolution counts as the matrix (out, everything else)."""
    return parameter.dim() >= 2 and not any(part in name for part in _NOT_FOR_MUON)


class Optimizer:
    """Steps all parameters by name; its state is a flat dictionary of tensors."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        factor: Callable[[str], float],
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        self._parameters = dict(parameters)
        # The library's Muon takes matrices only: these are views of the same memory.
        self._views = {n: nn.Parameter(p.data.flatten(1)) for n, p in parameters.items() if is_matrix(n, p)}
        matrices = [{"params": [view], "factor": factor(name)} for name, view in self._views.items()]
        others: dict[float, list[nn.Parameter]] = {}
        for name, parameter in parameters.items():
            if name not in self._views:
                others.setdefault(factor(name), []).append(parameter)
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            muon = torch.optim.Muon(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            self._parts.append(muon)
        if others:
            groups = [{"params": group, "factor": value} for value, group in others.items()]
            self._parts.append(torch.optim.AdamW(groups, betas=betas, weight_decay=weight_decay))

    def step(self, rate: float) -> None:
        """Move every parameter that has a gradient; then drop the gradients."""
        for name, view in self._views.items():
            gradient = self._parameters[name].grad
            view.grad = None if gradient is None else gradient.flatten(1)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate * group["factor"]
            part.step()
        for parameter in (*self._parameters.values(), *self._views.values()):
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """KIND/NAME → tensor, for every parameter that has been stepped."""
        return {
            f"{kind}/{name}": torch.as_tensor(value)
            for name, (part, parameter) in self._homes().items()
            for kind, value in part.state.get(parameter, {}).items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave; other tensors of `state` are left alone."""
        homes = self._homes()
        for key, tensor in state.items():
            kind, _, name = key.partition("/")
            part, parameter = homes[name]
            part.state[parameter][kind] = tensor

    def _homes(self) -> dict[str, tuple[torch.optim.Optimizer, nn.Parameter]]:
        """Which optimiser holds which parameter (or view of it)."""
        muon, adam = self._parts[0], self._parts[-1]
        return {
            name: (muon, self._views[name]) if name in self._views else (adam, parameter)
            for name, parameter in self._parameters.items()
        }
