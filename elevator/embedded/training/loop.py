"""The one training loop: resumable, logged, with a preview picture every few minutes.

All randomness of step n comes from (seed, n), so a resumed run equals the
uninterrupted one. Checkpoints are safetensors files, optimiser state included.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .optimizer import Optimizer
from .precision import half_precision

_OPTIMIZER = "optimizer/"  # prefix of its tensors in a checkpoint


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast. Exactly one of `steps` and `minutes` ends the run."""

    rate: float
    steps: int | None = None
    minutes: float | None = None
    """Wall-clock minutes over all sittings of a run; the rate decays towards their end."""
    warmup: int = 40
    """Steps."""
    final_rate: float = 0.03
    """Fraction of `rate` at the end of the cosine."""
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    save_every: float = 180.0
    """Seconds between checkpoints."""
    preview_every: float = 240.0
    """Seconds between preview pictures."""
    threads: int = 1
    autocast: bool = True


class Trainable(Protocol):
    """Something trainable: a VAE, a text-to-image pair, a T2V, a LoRA."""

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that training changes, by name."""
        ...

    def rate_factor(self, name: str) -> float:
        """How much faster than the base rate a parameter learns."""
        ...

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Loss of one batch drawn with `generator`, and figures for the log."""
        ...

    def preview(self, picture: Path) -> str:
        """Write a contact sheet; return a line of probe figures for the log."""
        ...


class Run:
    """The state of a run: parameters, their moving averages, the optimiser, the clock."""

    def __init__(self, trainable: Trainable, settings: LoopSettings, folder: Path) -> None:
        self.trainable, self.settings, self.folder = trainable, settings, folder
        self.parameters = trainable.trained()
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.optimizer = Optimizer(self.parameters, trainable.rate_factor, settings.betas, settings.weight_decay)
        self.step = 0
        self.seconds = 0.0

    # -- state on disk ------------------------------------------------------------

    def save(self) -> None:
        """Write `state.safetensors` atomically: weights, averages, the optimiser's state."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            tensors[f"weight/{name}"] = parameter.detach()
            tensors[f"average/{name}"] = self.average[name]
        tensors.update({f"{_OPTIMIZER}{key}": value for key, value in self.optimizer.state().items()})
        tensors = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        clock = json.dumps({"step": self.step, "seconds": self.seconds})
        temporary = self.folder / "state.part"
        save_file(tensors, temporary, metadata={"clock": clock})
        os.replace(temporary, self.folder / "state.safetensors")

    def load(self) -> bool:
        """Continue from `state.safetensors`; False when there is none."""
        path = self.folder / "state.safetensors"
        if not path.exists():
            return False
        with safe_open(path, "pt") as file:
            clock = json.loads(file.metadata()["clock"])
            for name, parameter in self.parameters.items():
                parameter.data.copy_(file.get_tensor(f"weight/{name}"))
                self.average[name].copy_(file.get_tensor(f"average/{name}"))
            keys = [key for key in file.keys() if key.startswith(_OPTIMIZER)]  # noqa: SIM118 (not a dict)
            self.optimizer.load_state({key.removeprefix(_OPTIMIZER): file.get_tensor(key) for key in keys})
        self.step, self.seconds = int(clock["step"]), float(clock["seconds"])
        return True

    # -- one step -----------------------------------------------------------------

    def progress(self) -> float:
        """How much of the run is over, 0..1."""
        if self.settings.steps is not None:
            return self.step / self.settings.steps
        if self.settings.minutes is not None:
            return self.seconds / (60 * self.settings.minutes)
        raise ValueError("A run needs a number of steps or of minutes.")

    def advance(self) -> dict[str, float]:
        """One optimiser step; the figures for the log."""
        settings = self.settings
        warm = min(1.0, (self.step + 1) / settings.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress())))
        rate = settings.rate * warm * (settings.final_rate + (1 - settings.final_rate) * cosine)
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + self.step)
        # Dropout inside the models draws from the global generator: tie it to the step too.
        torch.manual_seed(settings.seed * 1_000_003 + self.step)
        with half_precision(settings.autocast):
            loss, figures = self.trainable.loss(generator)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters.values(), settings.clip)
        self.optimizer.step(rate)
        self.step += 1
        decay = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.average[name].lerp_(parameter, 1 - decay)
        return {"loss": float(loss.detach()), **figures}

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, its parameters are the moving averages."""
        backup = {name: p.detach().clone() for name, p in self.parameters.items()}
        try:
            for name, parameter in self.parameters.items():
                parameter.data.copy_(self.average[name])
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.data.copy_(backup[name])

    def say(self, line: str) -> None:
        """A line for the terminal and for `train.log` beside the checkpoint."""
        print(line, flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "train.log").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def preview(self) -> str:
        """A contact sheet from the averages; the previous one stays beside it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.averaged(), torch.no_grad():
            return self.trainable.preview(self.folder / "preview.png")


def train(
    trainable: Trainable, settings: LoopSettings, folder: Path, resume: bool = False,
    stop_at: int | None = None,
) -> list[float]:  # fmt: skip
    """Train it to its end, saving into `folder`; the losses of this sitting.

    `stop_at` ends this sitting at a step, as an interruption right after a save would.
    """
    torch.set_num_threads(settings.threads)
    run = Run(trainable, settings, folder)
    if resume and run.load():
        run.say(f"continuing at step {run.step}")
    losses: list[float] = []
    sums: dict[str, float] = {}
    last = saved = previewed = time.monotonic()
    while run.progress() < 1 and run.step != stop_at:
        figures = run.advance()
        losses.append(figures["loss"])
        now = time.monotonic()
        run.seconds, last = run.seconds + now - last, now
        for key, value in figures.items():
            sums[key] = sums.get(key, 0.0) + value
        if run.step % 50 == 0:
            shown = "  ".join(f"{key} {value / 50:.4f}" for key, value in sums.items())
            run.say(f"{run.step:6d}  {run.seconds / 60:6.1f} min  {shown}")
            sums.clear()
        if now - saved > settings.save_every:
            run.save()
            saved = time.monotonic()
        if now - previewed > settings.preview_every:
            run.say(f"{run.step:6d}  preview  {run.preview()}")
            previewed = time.monotonic()
    run.save()
    run.say(f"{run.step:6d}  finished  {run.preview()}")
    return losses
