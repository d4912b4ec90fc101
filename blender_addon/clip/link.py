"""Where the conversation with the backend is. Pure."""

from __future__ import annotations

from enum import Enum


class Link(Enum):
    """Where the conversation with the backend is."""

    NONE = "nobody is being talked to"
    REACHING = "the backend is looked for or started"
    GREETING = "Hello was said"
    READY = "Welcome came"
