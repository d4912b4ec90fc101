"""The add-on for scripts; docs/SCRIPTS.md describes it.

    from bl_ext.user_default.video_elevator import api

    clip = api.submit("a red fox", style="plain", frames=16, seed=3, frame_start=100)
    strip = clip.wait()

It keeps nothing of its own: jobs live in the session, clips in the edit. To be called from the main thread.
"""

from .asking import batch, connect, styles, submit
from .clip import Clip, on_arrival, on_failure, on_progress
from .errors import CODES, ElevatorError
from .inserting import all_clips, find, insert

__all__ = [
    "CODES",
    "Clip",
    "ElevatorError",
    "all_clips",
    "batch",
    "connect",
    "find",
    "insert",
    "on_arrival",
    "on_failure",
    "on_progress",
    "styles",
    "submit",
]
