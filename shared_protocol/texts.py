"""What people read in a terminal and in Blender alike."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """ "9 s", "3 min", "2 h 5 min"; "1 s" is the shortest."""
    whole = max(1, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
