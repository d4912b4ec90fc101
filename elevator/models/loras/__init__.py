"""LoRAs and their kin: files read into differences of weights, added to a network that shares all else with its base.

`names` knows what each tool calls a layer, `algorithms` what is made of a layer's tensors, `files` reads, and
`merging` adds. The words: a *difference* is what one file adds to one layer.
"""

from .files import LoraFile, read
from .merging import matches, merged

__all__ = ["LoraFile", "matches", "merged", "read"]
