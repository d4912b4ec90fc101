"""Makes a clip from the files that the options name, and leaves it in a folder: frames, contact sheet and sidecar."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm  # type: ignore[import-untyped]

from .. import devices
from ..clip_record import Clock, record_of
from ..defaults import fitted
from ..errors import ModelError, RequestError
from ..models.loading import load_models
from ..models.pair import Models
from ..pictures.clip_folder import RECORD, SHEET, frame_name, frames_in, is_film, record_path
from ..pictures.film import Film
from ..pictures.footage import check_pictures, read_picture, resized
from ..pictures.rates import exact
from ..pictures.sheet import encoded_sheet
from ..pixels import Pixels
from ..provenance import differences, pictures_of, recorded, source_files
from ..sampler import elevate
from ..sidecar import ClipSettings, Device, File, Pictures, Sidecar, encode, made_with
from ..sources import Sources
from ..text import parse
from ..vocabulary import known_words, unknown_words
from .clip_options import ClipOptions

PICTURES = ("init", "footage", "anchor")
"""Sources that are pictures."""


def make(options: ClipOptions) -> Sidecar:
    """Make a clip; returns its sidecar, which lies in `options.out` then, the last of the files to appear there.

    Nothing appears there before all frames are finished. Says on stderr what was not understood.
    Raises ElevatorError if files are missing, changed or unfit, the settings impossible, or the folder taken.
    """
    clock = Clock()
    check_folder(options.out, options.overwrite)
    files = []
    named = source_files(options.sources, options.pictures, options.frames)
    check_pictures(file.path for file in named if file.source.split()[0] in PICTURES)
    with tqdm(named, desc="hashing", unit="file", disable=_hidden(options), leave=False) as bar:
        for file in bar:
            bar.set_postfix_str(file.path.name)
            files.append(recorded(file))
    if options.like is not None:
        _compare(options.like, tuple(files), options.force)
    clock.spent_on("hashing")

    device = _resolved(options.device)
    models = load_models(options.sources, device.name, getattr(torch, device.dtype), offload=device.offload)
    settings = options.settings(models)
    clock.spent_on("loading")
    with _workshop(options.out) as folder:
        clip, notes = _sample(options, models, settings, folder, clock)
        sidecar = record_of(clip, options.sources, options.pictures, device, settings, files, notes, clock)
        (folder / RECORD).write_bytes(encode(sidecar))
        if is_film(options.out):
            _publish_film(clip, exact(settings.fps), folder, options.out)
        else:
            (folder / SHEET).write_bytes(encoded_sheet(clip))
            _publish(folder, options.out)
    return sidecar


def _hidden(options: ClipOptions) -> bool | None:
    """tqdm's `disable`: None shows bars in a terminal only."""
    return True if options.quiet else None


def _compare(then: Sidecar, files: tuple[File, ...], force: bool) -> None:
    """Raise ModelError if files are not those of a sidecar; warn if versions are not."""
    differing = differences(files, then.files)
    if differing and not force:
        more = f", and {len(differing) - 1} more" if len(differing) > 1 else ""
        raise ModelError(
            f"{differing[0]}{more}; name where the same file lies now, or use --force to go on with this one."
        )
    _say(*(f"{difference}." for difference in differing))
    now = made_with()
    changed = [f"{name} {old} → {now[name]}" for name, old in then.made_with.items() if now.get(name, old) != old]
    if changed:
        _say(f"The clip was made with other versions, so its pixels may differ: {', '.join(changed)}.")


def _resolved(device: Device) -> Device:
    """The device with `auto` replaced: a GPU in half precision where there is one."""
    name, dtype = devices.resolved(device.name), device.dtype
    if dtype == "auto":
        dtype = str(devices.usual_dtype(name)).removeprefix("torch.")
    return Device(name, dtype, device.offload)


def _sample(
    options: ClipOptions, models: Models, settings: ClipSettings, folder: Path, clock: Clock
) -> tuple[Pixels, tuple[str, ...]]:
    """The clip (F, H, W, 3), whose frames are in the folder then, and notes."""
    pictures, size = options.pictures, (settings.width, settings.height)
    steps = elevate(
        models,
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        plan=settings.plan,
        frames=settings.frames,
        height=settings.height,
        width=settings.width,
        seed=settings.seed,
        prompts=settings.travel or None,
        init_frames=_init(pictures, size, settings.frames),
        strength=settings.strength,
        anchor_frame=None if pictures.anchor is None else _read(Path(pictures.anchor), size, pictures.fit),
    )
    notes = _unknown(options.sources, settings)
    _say(*notes)
    frames = []
    with tqdm(disable=_hidden(options), leave=False) as bar:
        for step in steps:
            bar.total = step.total
            bar.set_description(step.phase, refresh=False)
            bar.update()
            _say(*step.notes)
            notes += step.notes
            if step.frame is not None:
                number, pixels = step.frame
                frames.append(pixels)
                Image.fromarray(pixels).save(folder / frame_name(number))
            clock.spent_on(step.phase)
    return np.stack(frames), notes


def _init(pictures: Pictures, size: tuple[int, int], frames: int) -> Pixels | None:
    """The footage, (F, H, W, 3)."""
    files = [Path(file) for file in pictures.footage]
    if pictures.init is not None:
        files = pictures_of(Path(pictures.init))[:frames]
    return np.stack([_read(file, size, pictures.fit) for file in files]) if files else None


def _read(file: Path, size: tuple[int, int], fit: str) -> Pixels:
    """A picture at (width, height)."""
    if fit == "stretch":
        return resized(read_picture(file), size)
    try:
        with Image.open(file) as picture:
            return fitted(picture, size)
    except OSError as error:  # also of files that are no pictures
        raise RequestError(f"{file} is not a readable picture; choose a PNG.") from error


def _unknown(sources: Sources, settings: ClipSettings) -> tuple[str, ...]:
    """A sentence on the words that the T2I was never trained on, for T2Is that list what they know."""
    text = " ".join(
        fragment.text for prompt in (settings.prompt, *settings.travel.values()) for fragment in parse(prompt).fragments
    )
    words = unknown_words(text, known_words(sources.t2i_path))
    listed = ", ".join(f"“{word}”" for word in words)
    return (f"The T2I does not know {listed}: the clip may not show it.",) if words else ()


def check_folder(out: Path, overwrite: bool) -> None:
    """Raise RequestError if there is no room for a clip at `out`."""
    if is_film(out):
        if out.is_dir() or (out.exists() and not overwrite):
            raise RequestError(f"{out} is there already; choose another --out, or --overwrite.")
        return
    if out.exists() and not out.is_dir():
        raise RequestError(f"{out} is a file; choose another --out.")
    if not overwrite and any(_old(out)):
        raise RequestError(f"{out} holds a clip already; choose another --out, or --overwrite.")


def _old(out: Path) -> Iterator[Path]:
    """The files of a clip in a folder, the sidecar first."""
    yield from (file for name in (RECORD, SHEET) if (file := out / name).exists())
    yield from frames_in(out)


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """A folder beside `out` that is gone at the end, whatever happens. Raises RequestError if a write fails."""
    folder = out.parent / f".{out.name}-{secrets.token_hex(4)}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        yield folder
    except OSError as error:
        raise RequestError(f"{out} cannot be written ({error.strerror}); choose another --out.") from error
    finally:  # begun before the folder is there: one of `tempfile` stays if Ctrl-C comes while it is made
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, out: Path) -> None:
    """Move a finished clip to its place, where an old one's files go first; the sidecar is the last to appear."""
    out.mkdir(exist_ok=True)
    for file in _old(out):
        file.unlink()
    for file in reversed([*_old(folder)]):
        os.replace(file, out / file.name)


def _publish_film(clip: Pixels, rate: Fraction, folder: Path, out: Path) -> None:
    """Write the film apart and move it to its place; the sidecar is the last to appear."""
    with Film(folder / out.name, rate) as film:
        for frame in clip:
            film.add(frame)
    record_path(out).unlink(missing_ok=True)
    os.replace(folder / out.name, out)
    os.replace(folder / RECORD, record_path(out))


def _say(*sentences: str) -> None:
    """On stderr, above a progress bar if there is one."""
    for sentence in sentences:
        tqdm.write(sentence, file=sys.stderr)
