"""Asks the backend what the clip would take that the panel shows, once the artist's hand rests."""

from __future__ import annotations

import time
from typing import Any

import bpy
import msgspec

from shared_protocol.client import new_job_id
from shared_protocol.messages import Generate

from ..clip.link import Link
from ..clip.wish import WishError, settle
from ..machine.timer import the_pump
from .properties import wish_of

REST_SECONDS = 0.6
"""So long nothing must have changed before the backend is asked."""
NOBODY = "0" * 32

_wanted: Generate | None = None
_since = 0.0


def clip_of(settings: Any, scene: Any) -> Generate | None:
    """The clip that the panel asks for, without the pictures of the edit; None if no request can carry it."""
    try:
        clip = settle(wish_of(settings, settings.seed, scene), NOBODY, the_pump().session.backend.styles)
    except WishError:
        return None
    return msgspec.structs.replace(clip, strength=1.0)


def want(clip: Generate) -> None:
    """Have the backend asked about a clip soon, if it runs. May be called in a draw."""
    global _wanted, _since
    session = the_pump().session
    if session.link is not Link.READY or session.backend.foreseen.is_about(clip):
        _wanted = None
        return
    if _wanted != clip:
        _wanted, _since = clip, time.monotonic()
    if not bpy.app.timers.is_registered(ask):
        bpy.app.timers.register(ask, first_interval=REST_SECONDS)


def ask() -> float | None:
    """Ask, unless the clip has just changed: then look again later."""
    if _wanted is None:
        return None
    rested = time.monotonic() - _since
    if rested < REST_SECONDS:
        return REST_SECONDS - rested
    pump = the_pump()
    pump.do(pump.session.ask_estimate(msgspec.structs.replace(_wanted, job=new_job_id())))
    return None


def unregister() -> None:
    """Ask no more."""
    global _wanted
    _wanted = None
    if bpy.app.timers.is_registered(ask):
        bpy.app.timers.unregister(ask)
