"""Frames decoded in half precision, the mend for VAEs whose numbers are too large for it, and the order of frames."""

from __future__ import annotations

import copy

import numpy as np
import torch

from elevator.models.decoding import Decoder, in_turn
from tests.elevator.golden import models

LATENTS = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(0))


def test_half_precision_gives_the_frame() -> None:
    vae = models("zeroscope").vae
    decoder = Decoder(vae, half=True)
    made, exact = decoder.begin(LATENTS)().astype(int), Decoder(vae, half=False).begin(LATENTS)()
    assert decoder.half
    assert 0 < np.abs(made - exact).max() <= 1, "it is another precision, and a near one"


def test_numbers_too_large_for_half_precision_are_computed_in_float32_from_then_on() -> None:
    vae = copy.deepcopy(models("zeroscope").vae)
    with torch.no_grad():
        vae.decoder.conv_in.weight *= 1e6  # the norm after it takes the scale away again
    decoder = Decoder(vae, half=True)
    exact = Decoder(vae, half=False).begin(LATENTS)()
    assert (decoder.begin(LATENTS)() == exact).all()
    assert not decoder.half
    assert (decoder.begin(LATENTS)() == exact).all()


def test_the_next_frame_is_begun_before_one_is_read() -> None:
    done: list[str] = []

    def begin(latents: torch.Tensor) -> object:
        name = f"{latents.item():g}"
        done.append(f"begin {name}")
        return lambda: done.append(f"read {name}") or np.full((1, 1, 3), latents.item(), np.uint8)

    for ahead in (0, 1):
        done.clear()
        frames = list(in_turn(begin, torch.arange(3.0), ahead))  # type: ignore[arg-type]
        assert [frame[0, 0, 0] for frame in frames] == [0, 1, 2]
        expected = {
            0: ["begin 0", "read 0", "begin 1", "read 1", "begin 2", "read 2"],
            1: ["begin 0", "begin 1", "read 0", "begin 2", "read 1", "read 2"],
        }
        assert done == expected[ahead]
