"""What a model file or folder is, said from its names, shapes and metadata; importing this imports no torch."""

from .identity import Identity, family_of_width, identify
from .kinds import REFUSED_ALGORITHMS, Algorithm, Family, Kind, Layout

__all__ = ["REFUSED_ALGORITHMS", "Algorithm", "Family", "Identity", "Kind", "Layout", "family_of_width", "identify"]
