"""How fast model files are identified: `python -m tests.benchmarks.identify`, in the backend's environment.

Prints files per second, by the clock and by the processor's time, over a folder of checkpoints with as many tensor
names as Stable Diffusion 1.5 and one of LoRAs, beside the load that the machine had before.
The promise: 500 files a second on a warm disk and a core that does nothing else.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from elevator.checkpoints import identify
from tests.benchmarks.options import no_options
from tests.elevator.checkpoints.written import ldm_checkpoint, write

FILES = 300
BLOCK = "lora_unet_down_blocks_{}_attentions_0_transformer_blocks_0_attn2_to_k"


def lora() -> dict[str, tuple[int, ...]]:
    """As many names as a LoRA of all attention layers has."""
    shapes: dict[str, tuple[int, ...]] = {}
    for n in range(264):
        name = BLOCK.format(n)
        shapes |= {f"{name}.lora_down.weight": (8, 768), f"{name}.lora_up.weight": (320, 8), f"{name}.alpha": ()}
    return shapes


def main() -> None:
    """Identify each file of each folder once, after one round that warms up."""
    print(f"load before {os.getloadavg()[0]:.1f}")
    for name, shapes in (("checkpoints", ldm_checkpoint()), ("LoRAs", lora())):
        with tempfile.TemporaryDirectory() as folder:
            paths = [write(Path(folder) / f"{n}.safetensors", shapes) for n in range(FILES)]
            for _ in range(2):
                began, worked = time.perf_counter(), time.process_time()
                for path in paths:
                    identify(path)
                seconds, worked = time.perf_counter() - began, time.process_time() - worked
        rates = f"{FILES / seconds:5.0f} files/s   {FILES / worked:5.0f} files per second of the processor"
        print(f"{name:12s} {len(shapes)} names   {rates}")


if __name__ == "__main__":
    no_options(__doc__)
    main()
