"""`python -m elevator.embedded.training.train PART`.

Parts: vae, decoder, text+t2i, painter, t2v, motion, lora NAME, lcm, judge.

Each part trains from a seed, writes `checkpoints/PART/state.safetensors` and a preview
picture every few minutes, and goes on with `--resume`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from ...arguments import ArgumentParser
from ..small_world.judge import Judge
from ..small_world.pictures import CACHE, EmojiFont, SubjectSource, fetch_font
from ..small_world.styles import STYLES, washed_out
from .data import encoded_clips, encoded_frames
from .distillation import TrainableLcm
from .judge import TrainableJudge, true_renders
from .loop import LoopSettings, train
from .lora import TrainableLora, load_lora
from .models import new_vae
from .motion import TrainableMotion
from .probe import prepare_probe
from .store import Store
from .t2i import TrainableT2I
from .t2v import TrainableT2V
from .vae import TrainableVae, encode_frames, scaling_factor, vae_frames


def _source(args: argparse.Namespace) -> SubjectSource:
    return EmojiFont(args.font or fetch_font())


def _settings(args: argparse.Namespace, rate: float, minutes: float, ema: float) -> LoopSettings:
    return LoopSettings(
        rate=args.rate or rate, minutes=args.minutes or minutes, ema=ema,
        seed=args.seed, threads=args.threads,
    )  # fmt: skip


def measure_scaling(store: Store, source: SubjectSource) -> float:
    """Fix the scaling factor of the latents from 512 frames and write it down."""
    latents = encode_frames(store.vae(), vae_frames(source, 512, seed=1))
    factor = scaling_factor(latents)
    path = store.folders.checkpoints / "vae" / "scaling.json"
    path.write_text(json.dumps(factor), "utf-8")
    return factor


def _vae(args: argparse.Namespace, store: Store) -> None:
    source = _source(args)
    trainable = TrainableVae(store.vae() if args.resume else new_vae(), vae_frames(source, 12_000, args.seed), 16)
    folder = store.folders.checkpoints / "vae"
    train(trainable, _settings(args, 1e-3, 20, 0.995), folder, args.resume)
    print("scaling factor", measure_scaling(store, source))


def _decoder(args: argparse.Namespace, store: Store) -> None:
    frames = vae_frames(_source(args), 12_000, args.seed + 1)
    trainable = TrainableVae(store.vae(), frames, 16, decoder_only=True)
    folder = store.folders.checkpoints / "decoder"
    train(trainable, _settings(args, 1.5e-3, 15, 0.998), folder, args.resume)


def _t2i(args: argparse.Namespace, store: Store) -> None:
    vae = store.vae()
    data = encoded_frames(vae, _source(args), args.samples or 32_000, args.seed, cache=CACHE)
    unet, text = store.t2i() if args.resume else store.new_t2i()
    trainable = TrainableT2I(unet, text, store.tokenizer(), vae, data)
    train(trainable, _settings(args, 2e-3, 120, 0.999), store.folders.checkpoints / "t2i", args.resume)


def _painter(args: argparse.Namespace, store: Store) -> None:
    """First stage of the T2V: single frames as it will see them; from clips alone it learns to paint too slowly."""
    vae = store.vae()
    data = encoded_frames(vae, _source(args), args.samples or 16_000, args.seed + 3, washed_out, cache=CACHE)
    unet, text = store.painter() if args.resume else store.new_painter()
    trainable = TrainableT2I(unet, text, store.tokenizer(), vae, data)
    train(trainable, _settings(args, 2e-3, 10, 0.995), store.folders.checkpoints / "painter", args.resume)


def _t2v(args: argparse.Namespace, store: Store) -> None:
    source, vae = _source(args), store.vae()
    prepare_probe(vae, source)
    data = encoded_clips(vae, source, args.samples or 1600, args.seed, washed_out, cache=CACHE)
    unet, text = store.t2v() if args.resume else store.new_t2v()
    trainable = TrainableT2V(unet, text, store.tokenizer(), vae, data)
    train(trainable, _settings(args, 1e-3, 60, 0.995), store.folders.checkpoints / "t2v", args.resume)


def _motion(args: argparse.Namespace, store: Store) -> None:
    source, vae = _source(args), store.vae()
    prepare_probe(vae, source)
    data = encoded_clips(vae, source, args.samples or 1600, args.seed + 1, washed_out, cache=CACHE)
    unet, text = store.motion() if args.resume else store.new_motion()
    trainable = TrainableMotion(unet, text, store.tokenizer(), vae, data)
    train(trainable, _settings(args, 1e-3, 75, 0.995), store.folders.checkpoints / "motion", args.resume)


def _judge(args: argparse.Namespace, store: Store) -> None:
    trainable = TrainableJudge(
        store.judge() if args.resume else Judge(), true_renders(_source(args), args.samples or 20_000, args.seed + 7)
    )
    folder = store.folders.checkpoints / "judge"
    train(trainable, _settings(args, 1e-3, 6, 0.99), folder, args.resume)


def _lora(args: argparse.Namespace, store: Store) -> None:
    if args.name not in STYLES:
        raise SystemExit(f"lora needs the name of a style: {', '.join(sorted(STYLES))}.")
    source, vae = _source(args), store.vae()
    count = args.samples or 12_000
    data = encoded_frames(vae, source, count, args.seed + 5, STYLES[args.name], cache=CACHE)
    plain = encoded_frames(vae, source, 32_000, args.seed, cache=CACHE)  # the T2I's own data
    unet, text = store.t2i()
    trainable = TrainableLora(unet, text, store.tokenizer(), vae, data, plain, args.name)
    folder = store.folders.checkpoints / f"lora_{args.name}"
    if args.resume and not (folder / "state.safetensors").exists():
        load_lora(unet, store.folders.weights / "loras" / args.name)
    train(trainable, _settings(args, 2e-3, 15, 0.99), folder, args.resume)


def _lcm(args: argparse.Namespace, store: Store) -> None:
    vae = store.vae()
    data = encoded_frames(vae, _source(args), 32_000, args.seed, cache=CACHE)  # the T2I's own data
    unet, text = store.t2i()
    trainable = TrainableLcm(unet, text, store.tokenizer(), vae, data, store.judge())
    folder = store.folders.checkpoints / "lcm"
    if args.resume and not (folder / "state.safetensors").exists():
        load_lora(unet, store.folders.weights / "lcm")
    train(trainable, _settings(args, 1e-3, 40, 0.995), folder, args.resume)


def main() -> None:
    parts = {"vae": _vae, "decoder": _decoder, "text+t2i": _t2i, "painter": _painter, "t2v": _t2v}
    parts |= {"motion": _motion, "lora": _lora, "lcm": _lcm, "judge": _judge}
    parser = ArgumentParser(prog="python -m elevator.embedded.training.train", description=__doc__)
    parser.add_argument("part", choices=sorted(parts))
    parser.add_argument("name", nargs="?", help="style of the LoRA")
    parser.add_argument("--minutes", type=float, help="wall-clock minutes, all sittings together")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--rate", type=float, help="learning rate")
    parser.add_argument("--samples", type=int, help="number of training frames or clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--font", type=Path, help="colour emoji font file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    parts[args.part](args, Store())


if __name__ == "__main__":
    main()
