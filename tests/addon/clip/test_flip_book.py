"""Previews are read without a library, and what is no preview is none."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from backend.worker.preview import side_by_side
from blender_addon.clip.flip_book import MOST_PIXELS, PAGES_PER_SECOND, read
from blender_addon.clip.job import Preview
from elevator.pictures.encoding import encoded

CLIP = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
PNG = side_by_side(CLIP)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def made(width: int, height: int, lines: bytes, how: tuple[int, ...] = (8, 2, 0, 0, 0)) -> bytes:
    """A PNG of these lines."""
    header = struct.pack(">II5B", width, height, *how)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def headless(lines: bytes) -> bytes:
    """A PNG that does not say its size."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_pages_are_the_frames_upside_down() -> None:
    book = read(Preview(PNG, 3))
    assert book is not None
    assert (book.width, book.height, book.pages) == (5, 4, 3)
    for page, frame in enumerate(CLIP):
        pixels = np.frombuffer(book.pixels(page), np.uint8).reshape(4, 5, 4)[::-1]
        assert np.array_equal(pixels[..., :3], frame)
        assert (pixels[..., 3] == 255).all()


def test_a_preview_as_large_as_they_come_is_read() -> None:
    book = read(Preview(side_by_side(np.zeros((16, 144, 256, 3), np.uint8)), 16))
    assert book is not None
    assert (book.pages, book.height) == (16, 96)


def test_no_more_than_a_million_pixels_are_unpacked() -> None:
    for height in (1024, 1025):
        book = read(Preview(made(1024, height, bytes((1 + 3 * 1024) * height)), 1))
        assert (book is not None) == (height == 1024)


def test_what_is_made_here_is_read() -> None:
    assert read(Preview(made(1, 2, b"\0abc\0def"), 1)) is not None
    assert read(Preview(made(1, 1, b"\0abc"), 1)) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        PNG[:20],
        PNG[:-40],
        encoded(cv2.resize(CLIP[0], (60, 60))),  # its lines are filtered
        made(1, 2, b"\0abc\2def"),
        made(1, 2, b"\0abc"),
        made(1, 2, b"\0abc\0def", (8, 2, 0, 0, 1)),
        made(1, 2, b"\0abc\0def", (8, 6, 0, 0, 0)),
        made(0, 0, b""),
        made(1, 2, b"\0abc\0def").replace(b"\x89PNG", b"\x88PNG"),
        headless(b"\0abc"),
        headless(b"\0\0"),
        made(MOST_PIXELS, 2, b"\0"),
    ],
)
def test_what_is_no_preview_is_none(data: bytes) -> None:
    assert read(Preview(data, 1)) is None


def test_frames_that_do_not_fit_are_none() -> None:
    assert read(Preview(PNG, 4)) is None


def test_pages_are_turned_by_time_and_begin_again() -> None:
    book = read(Preview(PNG, 3))
    assert book is not None
    assert [book.page_at(100 + turn / PAGES_PER_SECOND) for turn in range(4)] == [2, 0, 1, 2]
