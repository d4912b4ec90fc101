"""Low-pass filters over (frame, y, x), applied to the predicted clean latents before the T2V sees them.

Source: VideoElevator, section 3.2 (low-pass frequency filter); the masks are the published ones, written
with `fftfreq` so that odd sizes stay centred and the mean keeps gain 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..devices import has_fft
from ..plan import LowPass


def mask(lowpass: LowPass, frames: int, height: int, width: int) -> Tensor:
    """Gain per frequency, (F, h, w) float32, in FFT order (zero frequency first).

    Frequencies are in units of Nyquist, −1…1. `temporal` is the Gaussian without its spatial part.
    """
    d_s, d_t = lowpass.d_s, lowpass.d_t
    if lowpass.method == "box":
        return torch.einsum("f,y,x->fyx", _box(frames, d_t), _box(height, d_s), _box(width, d_s))
    f_t, f_y, f_x = (2 * torch.fft.fftfreq(n) for n in (frames, height, width))
    d2: Tensor = ((d_s / d_t) * f_t[:, None, None]) ** 2 + f_y[None, :, None] ** 2 + f_x**2
    match lowpass.method:
        case "none":
            return torch.ones_like(d2)
        case "temporal":
            return torch.exp(-((f_t[:, None, None] / d_t) ** 2) / 2).expand_as(d2)
        case "gaussian":
            return torch.exp(d2 / (-2 * d_s**2))
        case "butterworth":
            return torch.reciprocal(1 + torch.pow(d2 / d_s**2, lowpass.order))
        case _:  # ideal
            return torch.le(d2, 2 * d_s).float()


def lowpass(x: Tensor, gain: Tensor) -> Tensor:
    """Filter (F, C, h, w) with a (F, h, w) mask in FFT order; computed in float32, returned as x is.

    On the processor where the device has no Fourier transforms."""
    place = x.device if has_fft(x.device) else torch.device("cpu")
    spectrum = torch.fft.fftn(x.to(place).float(), dim=(0, 2, 3)) * gain[:, None].to(place)
    return torch.real(torch.fft.ifftn(spectrum, dim=(0, 2, 3))).to(x)


def _box(size: int, cutoff: float) -> Tensor:
    """1 inside the published box by index, −n ≤ k < n with n = round(size // 2 · cutoff), and at the mean."""
    k = torch.fft.fftfreq(size, d=1 / size).round()
    n = round(size // 2 * cutoff)
    return torch.logical_and(k >= -n, k < max(n, 1)).float()
