"""The newest preview of the clip that is being made, as a flip-book that panels can draw.

The page that is open is an icon of Blender's, which is in no .blend, in no list of images and in no undo step.
"""

from __future__ import annotations

import time
from typing import Any

import bpy
import bpy.utils.previews

from ..clip import flip_book
from ..clip.flip_book import FlipBook
from ..clip.job import Job, Preview

LOOK_SECONDS = 2.0
"""So long after a panel has drawn it the flip-book is kept up."""
NAME = "page"
SCALE = 8.0
"""Of the picture, in heights of a button."""

_icons: Any = None
"""Blender's collection that the icon is in. The icon stays, and is painted over: a panel may still show it."""
_preview: Preview | None = None
_book: FlipBook | None = None
_page = 0
_looked_at = float("-inf")


def can_be_shown() -> bool:
    """Whether there is anybody to see them."""
    return not bpy.app.background


def turn(job: Job | None) -> bool:
    """Open the flip-book of the job's newest preview at the page of now. Returns whether there is another page to be
    drawn. Not to be called in a draw; costs nothing where none is drawn."""
    global _preview, _book, _page
    now = time.monotonic()
    newest = job.preview if job is not None and now - _looked_at < LOOK_SECONDS else None
    before = (_preview, _page)
    if newest is not _preview:
        _preview, _book = newest, None if newest is None else flip_book.read(newest)
    _page = 0 if _book is None else _book.page_at(now)
    turned = before != (_preview, _page)
    if turned and _book is not None:
        _paint(_book, _page)
    return turned


def draw(layout: Any) -> None:
    """The page that is open, if there is one."""
    global _looked_at
    _looked_at = time.monotonic()
    if _book is not None:
        layout.template_icon(icon_value=_icons[NAME].icon_id, scale=SCALE)


def _paint(book: FlipBook, page: int) -> None:
    global _icons
    if _icons is None:
        _icons = bpy.utils.previews.new()
        _icons.new(NAME)
    icon = _icons[NAME]
    if tuple(icon.image_size) != (book.width, book.height):
        icon.image_size = (book.width, book.height)
    icon.image_pixels.foreach_set(memoryview(book.pixels(page)).cast("i"))


def unregister() -> None:
    """Let go of the pictures."""
    global _icons, _preview, _book
    _preview = _book = None
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
        _icons = None
