"""What the options of the command line ask for. Importing this imports no torch."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .. import sidecar
from ..errors import PlanError, RequestError
from ..plan import Plan
from ..presets import default_of
from ..provenance import pictures_of
from ..sidecar import ClipSettings, Device, Pictures, Sidecar
from ..sources import Lora, Sources
from .shared import default_folder
from .values import RANDOM_SEED

if TYPE_CHECKING:
    from ..models.pair import Models

FRAMES = 16
FPS = 8.0
SINGLE = ("t2i", "t2v", "vae", "t2v_text", "init", "anchor")
SEVERAL = {"t2v_lora": "t2v_loras", "lora": "loras", "embedding": "embeddings"}
"""Options that say where files lie, and the fields of Sources and Pictures that they fill."""


@dataclass(frozen=True)
class ClipOptions:
    """A clip to be made."""

    sources: Sources
    pictures: Pictures
    device: Device
    """Name and dtype may be `auto`."""
    frames: int
    settings: Callable[[Models], ClipSettings]
    """What was not asked for depends on the models."""
    out: Path
    """A folder."""
    overwrite: bool = False
    """Whether a clip that is there may go."""
    quiet: bool = False
    """Without progress bars."""
    like: Sidecar | None = None
    """Of the clip to make again."""
    force: bool = False
    """Even with other files than that one's."""


def new_clip(given: Mapping[str, Any]) -> ClipOptions:
    """A clip as the options say; what they leave open comes from the models."""
    init = given.get("init")
    frames = FRAMES if init is None else min(FRAMES, len(pictures_of(Path(init))))
    frames = given.get("frames", frames)
    seed = given.get("seed", RANDOM_SEED)
    seed = random.randrange(2**31) if seed == RANDOM_SEED else seed
    prompts = {0: given["prompt"]} if "prompt" in given else {}
    prompts |= dict(given.get("travel", ()))
    pictures = Pictures(init=init, anchor=given.get("anchor"))
    return ClipOptions(
        sources=sources_of(given),
        pictures=pictures,
        device=_device(given, Device("auto", "auto")),
        frames=frames,
        settings=_settings(given, prompts, frames, seed),
        out=given.get("out", default_folder(prompts[min(prompts)], seed)).resolve(),
        overwrite=given.get("overwrite", False),
        quiet=given.get("quiet", False),
    )


def sources_of(given: Mapping[str, Any]) -> Sources:
    """The models that the options name."""
    single = {*SINGLE, "prediction_type", "distilled", "t2v_schedule"} - set(Pictures.__struct_fields__)
    places: dict[str, Any] = {name: given.get(name) for name in single}
    places |= {field: tuple(given.get(name, ())) for name, field in SEVERAL.items()}
    return Sources(**places)


def clip_again(given: Mapping[str, Any]) -> ClipOptions:
    """The clip of a sidecar."""
    path: Path = given["again"].resolve()
    then = sidecar.read(path)
    folder = path if path.is_dir() else path.parent
    sources, pictures = _moved(then.sources, then.pictures, given)
    return ClipOptions(
        sources=sources,
        pictures=pictures,
        device=_device(given, then.device),
        frames=then.settings.frames,
        settings=lambda models: then.settings,
        out=given.get("out", folder.with_name(f"{folder.name}-again")).resolve(),
        overwrite=given.get("overwrite", False),
        quiet=given.get("quiet", False),
        like=then,
        force=given.get("force", False),
    )


def _device(given: Mapping[str, Any], otherwise: Device) -> Device:
    return Device(
        given.get("device", otherwise.name),
        given.get("dtype", otherwise.dtype),
        given.get("offload", otherwise.offload),
    )


def _moved(sources: Sources, pictures: Pictures, given: Mapping[str, Any]) -> tuple[Sources, Pictures]:
    """Both, each file where the options say that it lies now. Raises RequestError for one that there was not."""
    changes: dict[str, Any] = {name: given[name] for name in SINGLE if name in given}
    if pictures.footage and "init" in changes:
        files = pictures_of(Path(changes.pop("init")))[: len(pictures.footage)]
        if len(files) < len(pictures.footage):
            raise RequestError(
                f"The clip was made from {len(pictures.footage)} pictures; choose a --footage that holds them."
            )
        pictures = msgspec.structs.replace(pictures, footage=tuple(map(str, files)))
    changes |= {field: tuple(given[name]) for name, field in SEVERAL.items() if name in given}
    for name, paths in changes.items():
        then = getattr(pictures if name in Pictures.__struct_fields__ else sources, name)
        if then is None or (isinstance(then, tuple) and len(then) != len(paths)):
            option = next((option for option, field in SEVERAL.items() if field == name), name)
            option = "footage" if option == "init" else option
            count = len(then or ())
            raise RequestError(f"The clip was made with {count} of --{option.replace('_', '-')}; give as many or none.")
        if then and isinstance(then, tuple) and isinstance(then[0], Lora):
            changes[name] = tuple(Lora(new.path, old.weight) for new, old in zip(paths, then, strict=True))
    shown = {name: changes.pop(name) for name in Pictures.__struct_fields__ if name in changes}
    return msgspec.structs.replace(sources, **changes), msgspec.structs.replace(pictures, **shown)


def _settings(
    given: Mapping[str, Any], prompts: dict[int, str], frames: int, seed: int
) -> Callable[[Models], ClipSettings]:
    """Settings by the models, which have the presets and know their size."""

    def settings(models: Models) -> ClipSettings:
        from ..defaults import default_strength, native_size, preset_plan

        preset = given.get("preset", default_of(models.presets))
        alone = list(prompts) == [0]
        width, height = given.get("size", (native_size(models), native_size(models)))
        return ClipSettings(
            prompt=prompts[0] if alone else "",
            negative_prompt=given.get("negative", ""),
            travel={} if alone else prompts,
            preset=preset,
            plan=_changed(preset_plan(models, preset), given.get("set", ())),
            frames=frames,
            width=width,
            height=height,
            seed=seed,
            strength=given.get("strength", default_strength(given.get("init"))),
            fps=float(given.get("fps", FPS)),
        )

    return settings


def _changed(plan: Plan, changes: Sequence[tuple[str, Any]]) -> Plan:
    """The plan with other values of some fields, such as `lowpass.method`. Raises PlanError."""
    settings = asdict(plan)
    for name, value in changes:
        *outer, last = name.split(".")
        table = settings
        for key in outer:
            if not isinstance(table.get(key), dict):
                raise PlanError(f"the plan has no table {key!r}; leave .{last} out.")
            table = table[key]
        table[last] = value
    return Plan.from_mapping(settings)
