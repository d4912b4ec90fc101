"""Which network's weights lie on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


@dataclass(eq=False)
class Offloader:
    """A device with room for one network at a time; the others wait in the processor's memory.

    Networks may share weights: what one takes along, the next takes over.
    """

    device: torch.device | None = None
    """None: networks stay where they are."""
    on_device: nn.Module | None = None

    def to_device(self, network: Network) -> Network:
        """Put a network on the device, and the one that was there away."""
        if self.device is not None and self.on_device is not network:
            if self.on_device is not None:
                nn.Module.to(self.on_device, "cpu")  # diffusers' own warns that half precision is slow there
            nn.Module.to(network, self.device)
            self.on_device = network
        return network
