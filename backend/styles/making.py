"""A base and a style from model files: what each is says its header; nothing is copied, moved or changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from elevator import Lora
from elevator.checkpoints import Identity, Kind, identify
from elevator.checkpoints.fitting import misfits
from elevator.checkpoints.header import read_header
from elevator.checkpoints.training import FEW_STEPS, FewSteps
from elevator.checkpoints.uses import PresetsOf, presets_of
from elevator.errors import ModelError
from elevator.presets import FILE_NAME, TURBO
from shared_protocol.texts import cut

from .files import BASES, Base, LoraEntry, StyleFile, Unusable, is_name, own_bases, own_styles, path_in
from .loras import list_folder
from .recipes import BaseRead, Recipe, read_base, recipe_of
from .writing import exists, name_from

EXAMPLE = "a corgi running on a beach"
TITLES: dict[PresetsOf, str] = {
    "animatediff": "AnimateDiff",
    "animatelcm": "AnimateLCM",
    "lightning": "AnimateDiff-Lightning",
    "lavie": "LaVie",
    "zeroscope": "ZeroScope",
}
LCM_WEIGHT = 0.8
"""Of AnimateLCM's LoRA, as its authors publish it."""
TITLE = 64
"""Letters of a title."""
_VIDEO = (Kind.T2V, Kind.MOTION_MODULE)


@dataclass(frozen=True)
class Made:
    """What is to be written, and what a person should know of it."""

    name: str
    """Of both files."""
    base: Base
    style: StyleFile
    found: tuple[Identity, ...]
    """What the files are, in the order in which they were given."""
    notes: tuple[str, ...] = ()
    """Sentences."""


class Unfit(Unusable):
    """Models make no style; `step` says what to do."""

    def __init__(
        self,
        what: str,
        step: str = "Give one checkpoint of SD 1.x or SD 2.x and one motion module or text-to-video model.",
    ) -> None:
        super().__init__(what)
        self.step = step


def from_models(paths: Sequence[Path], *, title: str = "", name: str = "", text: Path | None = None) -> Made:
    """A base and a style of these files: a text-to-image and a text-to-video model, and perhaps a VAE, LoRAs and
    embeddings.

    text: whose text encoder the text-to-video model reads. Raises Unusable if they make no style.
    """
    found = [_identified(path) for path in paths]
    t2i = _one(found, "text-to-image checkpoint", lambda each: each.kind is Kind.T2I)
    t2v = _one(found, "motion module or text-to-video model", lambda each: each.kind in _VIDEO)
    vaes = [each for each in found if each.kind is Kind.VAE]
    loras = [each for each in found if each.kind in (Kind.LORA, Kind.MOTION_LORA)]
    embeddings = [each for each in found if each.kind is Kind.EMBEDDING]
    used = [t2i, t2v, *vaes, *loras, *embeddings]
    if other := [each for each in found if each not in used]:
        raise Unfit(f"{other[0].path} is {other[0].kind}, and has no place in a style")
    if len(vaes) > 1:
        raise Unfit(f"{vaes[0].path} and {vaes[1].path} are both VAEs", "Give one of them.")
    presets = presets_of(t2v.kind, t2v.layout, t2v.distilled)
    motion, notes = _motion_loras(t2v, presets, loras)
    on_style = [each for each in loras if each not in motion]
    own_presets = (t2v.path if t2v.path.is_dir() else t2v.path.parent) / FILE_NAME
    size = 768 if t2i.prediction == "v_prediction" else 512
    name = name or name_from(title or t2i.title, exists)
    title = cut(title or t2i.title, TITLE)
    base = Base(
        title=cut(f"{title}, {TITLES[presets]}", TITLE),
        t2i=str(t2i.path),
        t2v=str(t2v.path),
        distilled=None if t2i.path.is_dir() else _few_steps(t2i),
        vae=str(vaes[0].path) if vaes else None,
        t2v_text=None if text is None else str(text.absolute()),
        t2v_loras=tuple(LoraEntry(path=str(each.path), weight=LCM_WEIGHT) for each in motion),
        t2v_schedule="lcm" if presets == "animatelcm" else None,
        width=size,
        height=size,
        frames=24 if presets == "zeroscope" else 16,
        presets={} if t2v.path.is_dir() and own_presets.is_file() else presets,
    )
    by_lora = next((kind for each in on_style if (kind := _few_steps(each))), None)
    few_steps = by_lora or _few_steps(t2i)
    style = StyleFile(
        title=title,
        base=name,
        preset=TURBO if few_steps else "published",
        distilled=by_lora,
        prompt=with_words("{prompt}", [word for each in on_style for word in words_of(each)]),
        example_prompt=EXAMPLE,
        loras=tuple(LoraEntry(path=str(each.path)) for each in on_style),
        embeddings=tuple(str(each.path) for each in embeddings),
    )
    recipe = checked(name, style, base)
    if wrong := misfits(recipe.sources):
        raise Unfit(wrong[0].what, wrong[0].step)
    return Made(name, base, style, tuple(found), notes)


def _few_steps(found: Identity) -> FewSteps | None:
    """How a text-to-image model or a LoRA for one was distilled, as its file says."""
    return next((kind for kind in FEW_STEPS if kind == found.distilled), None)


def checked(name: str, style: StyleFile, base: Base | None = None) -> Recipe:
    """What would be made in a style of the user's folder, on a base that there is or is to be. Raises Unusable."""

    def base_of(wanted: str) -> BaseRead:
        if base is None:
            return read_base(BASES, wanted, lambda path: None)
        return BaseRead.of(base, own_bases())

    return recipe_of(name, style, own_styles(), base_of, list_folder)


def base_names() -> tuple[str, ...]:
    """Of all bases, the user's and ours, whether they can be used or not."""
    names = {file.stem for folder in (own_bases(), BASES) for file in folder.glob("*.toml")}
    return tuple(sorted(filter(is_name, names)))


def presets_on(base: str, distilled: str | None = None) -> tuple[str, ...]:
    """Names of a base's presets, for a style that is `distilled` so. Raises Unusable if there are none."""
    if names := tuple(read_base(BASES, base, lambda path: None).presets_for(distilled)):
        return names
    raise Unusable(f'the base "{base}" has no presets')


def lora_of(entry: LoraEntry, folders: Sequence[Path]) -> Lora:
    """A LoRA as a style of the user's folder names it. folders: in whose first one a name is looked up."""
    path = folders[0] / entry.name if entry.name and folders else path_in(own_styles(), entry.path or entry.name)
    return Lora(path=str(path), weight=entry.weight)


def words_of(lora: Identity) -> list[str]:
    """The words that call a LoRA up: its trigger phrase, or else the tag that it was trained on most."""
    if lora.path.is_dir() or lora.path.suffix != ".safetensors":
        return list(lora.trigger_words[:1])
    phrase = read_header(lora.path).metadata.get("modelspec.trigger_phrase", "").strip()
    return list(lora.trigger_words if phrase else lora.trigger_words[:1])


def with_words(template: str, words: Sequence[str]) -> str:
    """The template of a prompt with those of the words behind it that are not in it yet."""
    for word in words:
        if word.lower() not in template.lower() and "{" not in word and "}" not in word:
            template = f"{template}, {word}"
    return template


def _identified(path: Path) -> Identity:
    try:
        return identify(path.absolute())
    except ModelError as error:
        what, _, step = str(error).rstrip(".").partition("; ")
        raise Unfit(what, f"{step[:1].upper()}{step[1:]}.") from error


def _one(found: Sequence[Identity], what: str, fits: Callable[[Identity], bool]) -> Identity:
    those = [each for each in found if fits(each)]
    if len(those) > 1:
        raise Unfit(f"{those[0].path} and {those[1].path} are both of a kind ({those[0].kind})", "Give one of them.")
    if not those:
        seen = "; ".join(f"{each.path.name} is {each.kind}" for each in found)
        raise Unfit(f"a {what} is missing among them ({seen})")
    return those[0]


def _motion_loras(
    t2v: Identity, presets: PresetsOf, loras: Sequence[Identity]
) -> tuple[list[Identity], tuple[str, ...]]:
    """LoRAs that belong to the motion module: AnimateLCM's, given or beside it; and what is to be said about that."""
    if presets != "animatelcm":
        return [], ()
    if given := [each for each in loras if "lcm" in each.path.name.lower()]:
        return given, ()
    beside = sorted(t2v.path.parent.glob("*[lL][cC][mM]*lora*.safetensors"))
    if beside:
        return [_identified(beside[0])], (f"{beside[0].name}, which lies beside it, is on the motion module.",)
    return [], ("AnimateLCM needs its LoRA, AnimateLCM_sd15_t2v_lora.safetensors, for good clips: give it, too.",)
