"""Films are what the frames are: as many, as fast, as large, in their colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from elevator import RequestError
from elevator.pictures.clip_folder import FILMS, is_film
from elevator.pictures.film import Film

RATES = [Fraction(8), Fraction(24000, 1001), Fraction(30)]


def clip(frames: int = 6, height: int = 48, width: int = 64) -> np.ndarray:
    """A coloured square that moves over a soft ground, (F, H, W, 3)."""
    ground = np.linspace(40, 200, width)[None, None, :, None] * np.ones((frames, height, 1, 3))
    for k in range(frames):
        left = 4 + 4 * k % 32
        ground[k, 10:30, left : left + 20] = (200, 40, 60)
    return ground.astype(np.uint8)


def write(path: Path, frames: Any, rate: Fraction = Fraction(8)) -> None:
    with Film(path, rate) as film:
        for frame in frames:
            film.add(frame)
        assert film.frames == len(frames)


def read(path: Path) -> tuple[np.ndarray, list[Fraction]]:
    """Frames and when each begins, seconds."""
    with av.open(str(path)) as file:
        frames: list[Any] = list(file.decode(video=0))
        pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
    return np.stack(pictures), [Fraction(frame.pts * frame.time_base) for frame in frames]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_film_has_the_clips_frames_rate_and_colours(suffix: str, rate: Fraction, tmp_path: Path) -> None:
    path, frames = tmp_path / f"clip{suffix}", clip()
    write(path, frames, rate)
    found, times = read(path)
    assert found.shape == frames.shape
    assert np.abs(found.astype(int) - frames).mean() < 3
    for k, time in enumerate(times):
        assert abs(time - times[0] - k / rate) <= Fraction(1, 900)
    # A whole square of one colour tells a wrong matrix or range, which shifts colours by ten and more.
    square = found[0, 14:26, 8:20].reshape(-1, 3).mean(axis=0)
    assert np.abs(square - (200, 40, 60)).max() < 6


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "h264"), (".webm", "vp9")])
def test_every_player_can_play_it(suffix: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / f"CLIP{suffix.upper()}"
    write(path, clip())
    with av.open(str(path)) as file:
        (stream,) = file.streams
        context: Any = stream.codec_context
        assert (stream.codec.name.removeprefix("lib"), context.pix_fmt) == (codec, "yuv420p")
        assert (context.color_primaries, context.color_trc, context.colorspace) == (1, 1, 1)
    if suffix == ".mp4":
        data = path.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat"), "it can begin before all of it is there"


@given(height=st.integers(1, 40), width=st.integers(1, 40), frames=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_odd_sizes_get_one_row_more(height: int, width: int, frames: int, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    small = np.full((frames, height, width, 3), 90, np.uint8)
    write(path, small)
    found, _ = read(path)
    assert found.shape == (frames, height + height % 2, width + width % 2, 3)


@pytest.mark.parametrize("rate", [Fraction(8), Fraction(12), Fraction(24000, 1001)])
def test_a_gif_keeps_its_time_as_a_whole(rate: Fraction, tmp_path: Path) -> None:
    path, frames = tmp_path / "clip.gif", clip(25)
    write(path, frames, rate)
    film: Any
    with Image.open(path) as film:
        assert film.n_frames == len(frames)
        assert film.info["loop"] == 0
        shown = []
        for k in range(film.n_frames):
            film.seek(k)
            shown.append(film.info["duration"])
            found = np.asarray(film.convert("RGB")).astype(int)
            assert np.abs(found - frames[k]).mean() < 8
    assert abs(sum(shown) - 1000 * len(frames) / rate) <= 5
    assert {abs(each - 1000 / rate) < 10 for each in shown} == {True}


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    assert all(is_film(Path(f"a{suffix}")) and is_film(Path(f"a{suffix.upper()}")) for suffix in FILMS)
    assert not is_film(Path("frames"))
    assert not is_film(Path("clip.mp4/frames"))
    with pytest.raises(RequestError, match=r"clip.mov is no film; choose a name that ends in .mp4, .webm, .gif"):
        Film(tmp_path / "clip.mov", Fraction(8))


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    with Film(tmp_path / "a.mp4", Fraction(8)) as film:
        film.add(np.zeros((8, 8, 3), np.uint8))
        with pytest.raises(RequestError, match="Frame 2 has another size"):
            film.add(np.zeros((8, 10, 3), np.uint8))


@pytest.mark.parametrize("suffix", FILMS)
def test_a_film_without_frames_is_left_without_an_error(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(KeyError), Film(tmp_path / f"a{suffix}", Fraction(8)):
        raise KeyError("nothing came")
