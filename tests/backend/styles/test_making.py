"""A base and a style from model files: each finds its place by what its header says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.styles import making
from backend.styles.files import Base, LoraEntry, StyleFile, Unusable, own_bases, own_styles
from backend.styles.making import LCM_WEIGHT, TITLE, Made, Unfit, from_models, presets_on, with_words, words_of
from backend.styles.writing import write
from elevator.checkpoints import identify
from tests.backend.models import tools
from tests.true_shapes.random_weights import write as write_weights

TAGS = {"ss_tag_frequency": json.dumps({"10_ink": {"ink wash": 9, "cat": 3}})}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def t2i(folder: Path, name: str = "dream.safetensors", **metadata: str) -> Path:
    return tools.model(folder / name, tools.SD1, **metadata)


def motion(folder: Path, name: str = "mm.safetensors") -> Path:
    return tools.model(folder / name, tools.MOTION)


def lcm_motion(folder: Path) -> Path:
    return tools.model(folder / "AnimateLCM_sd15_t2v.safetensors", tools.LCM_MOTION)


def lora(folder: Path, name: str = "ink.safetensors", **metadata: str) -> Path:
    return tools.model(folder / name, tools.LORA, **metadata)


def unfit(*paths: Path) -> Unfit:
    with pytest.raises(Unfit) as caught:
        from_models(paths)
    return caught.value


def test_each_file_finds_its_place(folder: Path) -> None:
    vae = tools.model(folder / "fine.safetensors", tools.VAE)
    cat = tools.model(folder / "cat.safetensors", tools.EMBEDDING)
    given = [cat, lora(folder), vae, motion(folder), t2i(folder)]
    made = from_models(given, title="My Dream")
    assert made.name == "my_dream"
    assert made.base == Base(
        title="My Dream, AnimateDiff", t2i=str(given[4]), t2v=str(given[3]), vae=str(vae), presets="animatediff"
    )
    assert made.style == StyleFile(
        title="My Dream",
        base="my_dream",
        preset="published",
        example_prompt=making.EXAMPLE,
        loras=(LoraEntry(path=str(given[1])),),
        embeddings=(str(cat),),
    )
    assert [identity.path for identity in made.found] == given
    assert made.notes == ()


def test_paths_are_whole_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    t2i(folder)
    motion(folder)
    monkeypatch.chdir(folder)
    made = from_models([Path("dream.safetensors"), Path("mm.safetensors")], text=Path("dream.safetensors"))
    assert made.base.t2i == made.base.t2v_text == str(folder / "dream.safetensors")
    assert made.base.t2v == str(folder / "mm.safetensors")


def test_names_and_titles_are_those_of_the_checkpoint_unless_given(folder: Path) -> None:
    pair = [t2i(folder, "Dream Shaper.safetensors"), motion(folder)]
    made = from_models(pair)
    assert (made.name, made.style.title, made.style.base) == ("dream_shaper", "Dream Shaper", "dream_shaper")
    assert from_models(pair, name="own").name == "own"
    write("dream_shaper", made.style)
    assert from_models(pair).name == "dream_shaper_2", "the first one is taken"
    long = from_models(pair, title="T" * 70)
    assert len(long.style.title) == len(long.base.title) == TITLE


def test_what_has_no_place_or_is_there_twice_is_said(folder: Path) -> None:
    pair = [t2i(folder), motion(folder)]
    other = tools.model(folder / "other.safetensors", {"control_model.x": (1,)})
    assert str(unfit(*pair, other)) == f"{other} is {identify(other).kind}, and has no place in a style"
    vaes = [tools.model(folder / f"{name}.safetensors", tools.VAE) for name in "ab"]
    two = unfit(*pair, *vaes)
    assert (str(two), two.step) == (f"{vaes[0]} and {vaes[1]} are both VAEs", "Give one of them.")
    second = t2i(folder, "second.safetensors")
    two = unfit(*pair, second)
    assert str(two) == f"{pair[0]} and {second} are both of a kind (text-to-image checkpoint)"
    assert two.step == "Give one of them."
    none = unfit(pair[1], lora(folder))
    assert str(none) == (
        "a text-to-image checkpoint is missing among them (mm.safetensors is motion module; ink.safetensors is LoRA)"
    )
    assert none.step.startswith("Give one checkpoint")
    gone = unfit(folder / "nowhere.safetensors")
    assert str(gone).startswith(f"There is no file at {folder / 'nowhere.safetensors'}")
    assert gone.step[0].isupper()
    assert gone.step.endswith(".")
    assert not gone.step.endswith("..")


def test_files_that_do_not_go_together_are_said_with_what_to_do(folder: Path) -> None:
    wide = {name: (*shape[:-1], 1024) if shape[-1] == 768 else shape for name, shape in tools.LORA.items()}
    wrong = unfit(t2i(folder), motion(folder), tools.model(folder / "wide.safetensors", wide))
    assert "wide.safetensors" in str(wrong)
    assert wrong.step


@pytest.mark.slow
def test_a_models_own_presets_are_taken_where_they_lie_beside_it(folder: Path) -> None:
    video = folder / "zeroscope"
    folder.mkdir()
    write_weights("zeroscope", video, "tiny")
    checkpoint = t2i(folder)
    made = from_models([checkpoint, video])
    assert (made.base.presets, made.base.frames, made.base.title) == ("zeroscope", 24, "dream, ZeroScope")
    (video / "presets.toml").write_text("[published]\nsteps = 3\nrefine = []\n")
    assert from_models([checkpoint, video]).base.presets == {}
    (folder / "presets.toml").write_text("[published]\nsteps = 3\nrefine = []\n")
    assert from_models([checkpoint, motion(folder)]).base.presets == "animatediff", "that is of no single file"


def on_motion(made: Made) -> list[tuple[str, float]]:
    return [(Path(each.path).name, each.weight) for each in made.base.t2v_loras]


def test_the_lora_of_animatelcm_is_on_its_motion_module(folder: Path) -> None:
    pair = [t2i(folder), lcm_motion(folder)]
    alone = from_models(pair)
    assert on_motion(alone) == []
    assert alone.notes[0].startswith("AnimateLCM needs its LoRA")
    assert alone.base.t2v_schedule == "lcm"
    beside = lora(folder, "AnimateLCM_sd15_t2v_lora.safetensors")
    found = from_models(pair)
    assert on_motion(found) == [(beside.name, LCM_WEIGHT)]
    assert found.notes == (f"{beside.name}, which lies beside it, is on the motion module.",)
    assert found.style.loras == ()
    given = lora(folder / "other", "my_LCM.safetensors")
    told = from_models([*pair, given, lora(folder)])
    assert on_motion(told) == [("my_LCM.safetensors", LCM_WEIGHT)]
    assert told.notes == ()
    assert [Path(each.path).name for each in told.style.loras] == ["ink.safetensors"]
    plain = from_models([pair[0], motion(folder), given])
    assert (on_motion(plain), plain.base.t2v_schedule) == ([], None), "other modules have no use for it"
    assert len(plain.style.loras) == 1


def test_words_are_the_trigger_phrase_or_else_the_commonest_tag(folder: Path) -> None:
    phrase = lora(folder, "a.safetensors", **{"modelspec.trigger_phrase": "ink wash, sumi"})
    assert words_of(identify(phrase)) == list(identify(phrase).trigger_words)
    assert ", ".join(words_of(identify(phrase))) == "ink wash, sumi"
    tagged = identify(lora(folder, "b.safetensors", **TAGS))
    assert len(tagged.trigger_words) > 1
    assert words_of(tagged) == ["ink wash"]
    assert words_of(identify(lora(folder, "c.safetensors"))) == []
    made = from_models([t2i(folder), motion(folder), phrase])
    assert made.style.prompt == "{prompt}, ink wash, sumi"


@pytest.mark.parametrize(
    ("template", "words", "prompt"),
    [
        ("{prompt}", ["ink"], "{prompt}, ink"),
        ("{prompt}, INK", ["ink"], "{prompt}, INK"),
        ("{prompt}", ["Ink", "ink"], "{prompt}, Ink"),
        ("{prompt}", ["{ink", "ink}", "a"], "{prompt}, a"),
        ("{prompt}", [], "{prompt}"),
    ],
)
def test_words_that_are_there_are_not_added(template: str, words: list[str], prompt: str) -> None:
    assert with_words(template, words) == prompt


def own_base(home: Path, name: str, text: str) -> None:
    own_bases().mkdir(parents=True, exist_ok=True)
    (own_bases() / f"{name}.toml").write_text(f'title = "B"\nt2i = "a"\nt2v = "v"\n{text}', encoding="utf-8")


def test_presets_are_those_that_fit_and_there_is_one(home: Path) -> None:
    assert "turbo" not in presets_on("embedded")
    assert presets_on("embedded", "lcm") == ("turbo",)
    own_base(home, "mine", "")
    (own_bases() / "v").mkdir()
    (own_bases() / "v" / "presets.toml").write_text("[quick]\nsteps = 3\nrefine = []\nfew_steps = true\n")
    assert presets_on("mine", "lcm") == ("quick",)
    with pytest.raises(Unusable, match='the base "mine" has no presets'):
        presets_on("mine")
    with pytest.raises(Unusable, match='there is no base "nowhere"'):
        presets_on("nowhere")


def test_bases_are_named_in_order_whether_they_can_be_used_or_not(home: Path) -> None:
    ours = making.base_names()
    assert "embedded" in ours
    own_base(home, "aaa", "what = ")
    own_base(home, "No Base", "")
    own_base(home, "embedded", "")
    assert making.base_names() == ("aaa", *ours)


def test_a_lora_is_found_in_the_first_folder_or_beside_the_style(home: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    assert making.lora_of(LoraEntry(name="ink", weight=0.5), folders).path == str(tmp_path / "a" / "ink")
    assert making.lora_of(LoraEntry(name="ink", weight=0.5), folders).weight == 0.5
    assert making.lora_of(LoraEntry(path="ink.pt"), folders).path == str(own_styles() / "ink.pt")
    assert making.lora_of(LoraEntry(name="ink"), []).path == str(own_styles() / "ink")
    assert making.lora_of(LoraEntry(path="/m/ink.pt"), []).path == "/m/ink.pt"
