"""Model files of any size made of a header alone: where the weights would be, the file has a hole."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

UNET, TEXT = "model.diffusion_model.input_blocks.", "cond_stage_model.transformer.text_model."


def header(shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str] | None = None) -> tuple[bytes, int]:
    """A safetensors header for half precision, with its length before it, and how many bytes of weights follow."""
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        entries[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text, end


def write(path: Path, shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str] | None = None) -> Path:
    """Write a file whose weights are a hole."""
    text, size = header(shapes, metadata)
    with path.open("wb") as file:
        file.write(text)
        file.truncate(len(text) + size)
    return path


def ldm_checkpoint(width: int = 768, text: str = TEXT) -> dict[str, tuple[int, ...]]:
    """As many names, about as long, as Stable Diffusion 1.5 has in a single file (1131)."""
    shapes: dict[str, tuple[int, ...]] = {f"{UNET}0.0.weight": (320, 4, 3, 3)}
    for n in range(25):
        block = f"{UNET}{n}.1.transformer_blocks.0"
        shapes |= {f"{block}.attn{k}.to_{side}.weight": (320, 320) for k in (1, 2) for side in ("q", "out.0")}
        shapes |= {f"{block}.attn{k}.to_{side}.weight": (320, (320, width)[k - 1]) for k in (1, 2) for side in "kv"}
        shapes |= {f"{block}.norm{k}.{kind}": (320,) for k in (1, 2, 3) for kind in ("weight", "bias")}
        shapes |= {f"{UNET}{n}.0.{kind}_layers.{k}.weight": (320,) for kind in ("in", "out", "emb") for k in range(3)}
    shapes |= {f"first_stage_model.encoder.down.{n}.block.0.conv1.weight": (128, 128, 3, 3) for n in range(248)}
    shapes |= {f"{text}encoder.layers.{n}.self_attn.q_proj.weight": (768, 768) for n in range(196)}
    return shapes | {f"first_stage_model.decoder.up.{n}.block.0.conv1.weight": (128,) for n in range(111)}
