"""PNG files are known to be whole by their chunks (W3C PNG), and pictures are laid on black by their alpha."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from elevator import RequestError
from elevator.defaults import fitted
from elevator.pictures import png
from elevator.pictures.footage import check_pictures, decoded, read_picture

CLIP = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


def encoded(picture: Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


WHOLE = encoded(Image.fromarray(CLIP))


@pytest.mark.parametrize("picture", [CLIP, CLIP[..., 0], CLIP.astype(np.uint16) * 257], ids=["RGB", "grey", "16 bits"])
def test_a_whole_file_has_no_fault(picture: Any) -> None:
    done, data = cv2.imencode(".png", picture)
    assert done
    assert png.fault(data.tobytes()) is None
    assert png.fault(data.tobytes() + b"what a program adds behind IEND") is None
    assert not png.has_alpha(data.tobytes())


def test_every_cut_is_seen() -> None:
    for length in range(len(png.SIGNATURE), len(WHOLE), 37):
        assert "breaks off" in (png.fault(WHOLE[:length]) or "")
    assert "empty" in (png.fault(b"") or "")


def test_a_chunk_that_is_not_as_its_check_sum_says_is_seen() -> None:
    at = WHOLE.index(b"IDAT") + 9
    assert "damaged" in (png.fault(WHOLE[:at] + bytes([WHOLE[at] ^ 1]) + WHOLE[at + 1 :]) or "")


@pytest.mark.parametrize(
    ("kind", "name"), [("jpeg", "JPEG"), ("gif", "GIF"), ("bmp", "BMP"), ("tiff", "TIFF"), ("webp", "WebP")]
)
def test_another_format_under_the_name_of_a_png_is_named(kind: str, name: str) -> None:
    assert name in (png.fault(encoded(Image.fromarray(CLIP), kind)) or "")
    assert png.fault(b"hello") == "is no PNG picture"


BEGINNINGS = {
    "a film": (
        b"\x1a\x45\xdf\xa3",  # Matroska and WebM (RFC 8794)
        b"RIFF\0\0\0\0AVI LIST",
        b"\0\0\0\x18ftypisom",  # ISO 14496-12
        b"\0\0\0\x14ftypqt  ",
    ),
    "a HEIF or AVIF": (b"\0\0\0\x18ftypheic", b"\0\0\0\x1cftypavif", b"\0\0\0\x18ftypmif1"),
    "a JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    "a JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n",),
    "a TIFF": (b"II+\0", b"MM\0+"),  # BigTIFF
    "a DPX": (b"SDPX", b"XPDS"),
    "a Radiance": (b"#?RADIANCE\n",),
    "a QOI": (b"qoif",),
}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_what_begins_as_another_format_is_named(kind: str) -> None:
    for begin in BEGINNINGS[kind]:
        assert (png.fault(begin + bytes(40)) or "").startswith(f"is {kind}")


def transparent() -> Image.Image:
    """A picture with hidden colours: magenta below alpha 0, and half of a green."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:] = (255, 0, 255, 0)
    pixels[2:6, 2:6] = (0, 160, 0, 255)
    pixels[4:6, 4:6] = (0, 160, 0, 128)
    return Image.fromarray(pixels)


def palette() -> bytes:
    """A picture of a palette whose first colour is transparent, by a chunk tRNS."""
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([255, 0, 255, 0, 160, 0])
    picture.paste(1, (2, 2, 6, 6))
    return encoded(picture, transparency=0)


def test_what_is_transparent_lies_on_black(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(transparent()))
    seen = read_picture(tmp_path / "a.png")
    assert seen[0, 0].tolist() == [0, 0, 0]
    assert seen[2, 2].tolist() == [0, 160, 0]
    assert abs(int(seen[5, 5, 1]) - 80) <= 1
    assert np.abs(fitted(transparent(), (8, 8)).astype(int) - seen).max() <= 1, "both ways to read say the same"


def test_a_transparent_colour_of_a_palette_is_black_too() -> None:
    assert png.has_alpha(palette())
    seen = decoded(palette())
    assert seen is not None
    assert (seen[0, 0].tolist(), seen[3, 3].tolist()) == ([0, 0, 0], [0, 160, 0])


def test_grey_with_alpha_and_16_bits() -> None:
    grey = Image.fromarray(np.full((4, 4), 200, np.uint8)).convert("LA")
    grey.putalpha(0)
    seen = decoded(encoded(grey))
    assert seen is not None
    assert not seen.any()
    deep = np.full((4, 4, 4), 65535, np.uint16)
    deep[..., 3] = 32768
    done, data = cv2.imencode(".png", deep)
    assert done
    seen = decoded(data.tobytes())
    assert seen is not None
    assert np.unique(seen).tolist() == [128]


def test_opaque_pictures_stay_as_they_are() -> None:
    whole = np.dstack([CLIP, np.full(CLIP.shape[:2], 255, np.uint8)])
    seen = decoded(encoded(Image.fromarray(whole)))
    assert seen is not None
    assert np.array_equal(seen, CLIP)


def test_the_file_that_cannot_be_used_is_named_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(WHOLE)
    (tmp_path / "2.png").write_bytes(WHOLE[: len(WHOLE) // 2])
    check_pictures([tmp_path / "1.png"])
    with pytest.raises(RequestError, match=r"2\.png is a PNG that breaks off"):
        check_pictures([tmp_path / "1.png", tmp_path / "2.png"])
    with pytest.raises(RequestError, match=r"absent\.png cannot be read"):
        check_pictures([tmp_path / "absent.png"])
    (tmp_path / "3.png").write_bytes(encoded(Image.fromarray(CLIP), "jpeg"))
    check_pictures([tmp_path / "3.png"])  # which the sampler reads all the same


def test_chunks_without_an_end_are_no_way_to_hang() -> None:
    data = png.SIGNATURE + struct.pack(">I4s", 2**32 - 1, b"IDAT") + b"x" * 64
    assert "breaks off" in (png.fault(data) or "")
    chunk = struct.pack(">I4s", 0, b"aaaa") + struct.pack(">I", zlib.crc32(b"aaaa"))
    assert "breaks off" in (png.fault(png.SIGNATURE + chunk * 1000) or "")


def chunked(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks."""
    return png.SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def header(kind: int, side: int = 2) -> tuple[bytes, bytes]:
    """IHDR of a colour type: 0 grey, 2 RGB, 3 of a palette, 4 grey with alpha, 6 RGB with alpha."""
    return b"IHDR", struct.pack(">IIBBBBB", side, side, 8, kind, 0, 0, 0)


@pytest.mark.parametrize(("kind", "alpha"), [(0, False), (2, False), (3, False), (4, True), (6, True)])
def test_alpha_is_known_by_the_colour_type_alone(kind: int, alpha: bool) -> None:
    data = chunked(header(kind))
    assert len(data) == 33
    assert png.has_alpha(data) is alpha
    assert not png.has_alpha(data[:-1])
    assert not png.has_alpha(b"\xff" + data[1:])


@pytest.mark.parametrize("kind", [0, 2, 3])
def test_alpha_is_known_by_a_chunk_before_the_pixels(kind: int) -> None:
    end = ((b"IDAT", b"x"), (b"IEND", b""))
    assert png.has_alpha(chunked(header(kind), (b"gAMA", b"abcd"), (b"tRNS", b"\0\0"), *end))
    assert not png.has_alpha(chunked(header(kind), (b"gAMA", b"abcd"), *end, (b"tRNS", b"\0\0")))
    assert not png.has_alpha(chunked(header(kind), (b"IEND", b""), (b"tRNS", b"\0\0")))
    assert not png.has_alpha(chunked(header(kind), (b"gAMA", b"abcd")))


def test_a_file_is_whole_where_its_last_chunk_ends() -> None:
    whole = chunked(header(2), (b"IEND", b""))
    assert png.fault(whole) is None
    for end in range(8, len(whole)):
        assert png.fault(whole[:end]) == ("is a PNG that breaks off; it may still be written, or its copy is not whole")
    assert png.fault(whole[:-1] + b"\0") == "is a damaged PNG; copy or make it again"
    assert png.fault(whole[:12] + b"JHDR" + whole[16:]) == "is a damaged PNG; copy or make it again"


@pytest.mark.parametrize("data", [b"RIFF\0\0\0\0WAVE", b"\0\0\0\x18fty", b"WEBP" * 4, b"xRIFFWEBP"])
def test_what_only_looks_like_another_format_is_none(data: bytes) -> None:
    assert png.fault(data + bytes(20)) == "is no PNG picture"


def test_a_picture_of_more_pixels_than_can_be_held_is_none() -> None:
    data = chunked(header(2, side=100_000), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    assert png.fault(data) is None
    assert decoded(data) is None
    assert decoded(b"") is None
