"""Which network's weights lie on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


@dataclass(eq=False)
class Room:
    """A device with room for one network at a time; the others wait in the processor's memory.

    Networks may share weights: what one takes along, the next takes over.
    """

    device: torch.device | None = None
    """None: networks stay where they are."""
    inside: nn.Module | None = None

    def bring(self, network: Network) -> Network:
        """Put a network on the device, and the one that was there away."""
        if self.device is not None and self.inside is not network:
            if self.inside is not None:
                nn.Module.to(self.inside, "cpu")  # diffusers' own warns that half precision is slow there
            nn.Module.to(network, self.device)
            self.inside = network
        return network
