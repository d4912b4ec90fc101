"""What a picture is in memory. Importing this imports numpy alone."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""8-bit sRGB, (H, W, 3), the last axis R, G, B; several pictures have more axes before these."""
