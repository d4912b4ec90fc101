"""The embedded models: tiny models of a small world, in plain diffusers folders under `weights/`, and their names.

`small_world/` says what that world holds, and reads clips of it. `training/` has the scripts that made the weights;
nothing imports these. Importing this imports the standard library alone.
"""

from __future__ import annotations

from pathlib import Path

EMBEDDED = {
    "embedded": {"t2i": "t2i", "t2v": "zeroscope"},
    "embedded_animatediff": {"t2v": "animatediff"},
}
"""Names for the models that come with this library: which folder of its weights each means as T2I or T2V."""
WEIGHTS = Path(__file__).parent / "weights"


def located(name: str, part: str) -> Path:
    """The path of a `part` (`t2i` or `t2v`), which may be one of the names in `EMBEDDED`."""
    folder = EMBEDDED.get(name, {}).get(part)
    return Path(name) if folder is None else WEIGHTS / folder
