"""What people read in a terminal and in Blender alike."""

from __future__ import annotations

from shared_protocol.texts import duration


def test_durations_are_rounded_as_people_do() -> None:
    assert [duration(seconds) for seconds in (0.1, 99.4, 99.6, 5900, 5990, 7500, 90_000)] == [
        "1 s",
        "99 s",
        "2 min",
        "98 min",
        "1 h 40 min",
        "2 h 5 min",
        "25 h 0 min",
    ]
