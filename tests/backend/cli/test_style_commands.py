"""Styles without a text editor: what commands write is what the backend reads, and nothing is lost."""

from __future__ import annotations

import errno
import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from backend.cli import style_pictures
from backend.client.api import connect
from backend.styles.catalogue import read_catalogue
from backend.styles.files import Base, LoraEntry, StyleFile, read
from backend.styles.recipes import PNG
from elevator.presets import Preset, fitting, presets_for
from shared_protocol.machine import files
from tests.backend.commands import Call, caller
from tests.backend.harness import ROOT, Running, running
from tests.backend.models import tools
from tests.true_shapes.random_weights import write, write_embedding

PHRASE = {"modelspec.trigger_phrase": "ink wash, sumi"}


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(capsys)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('my "models"')
    write("sd1_bare", folder / "DreamShaper 8.safetensors", "tiny")
    write("motion_v2", folder / "mm_sd_v15_v2.ckpt", "tiny")
    write("motion_lcm", folder / "AnimateLCM_sd15_t2v.ckpt", "tiny")
    write("lora_lcm", folder / "AnimateLCM_sd15_t2v_lora.safetensors", "tiny")
    write("lavie", folder / "lavie_base.pt", "tiny")
    write("zeroscope", folder / "zeroscope_v2_576w", "tiny")
    write("vae", folder / "vae-ft-mse.safetensors", "tiny")
    write("lora_kohya", folder / "ink.safetensors", "tiny", rank=2, metadata=PHRASE)
    write_embedding(folder / "cat.pt", "a1111_pt", "<cat>", width=64)
    return folder


def style(home: Path, name: str) -> StyleFile:
    return read(home / "config" / "styles" / f"{name}.toml", StyleFile)


def base(home: Path, name: str) -> Base:
    return read(home / "config" / "bases" / f"{name}.toml", Base)


def test_one_command_makes_a_style_of_two_files(home: Path, models: Path, call: Call) -> None:
    before = sorted(models.rglob("*"))
    done = call("models", "add", models / "DreamShaper 8.safetensors", models / "mm_sd_v15_v2.ckpt")
    assert done.code == 0, done.err
    assert "DreamShaper 8.safetensors: text-to-image checkpoint" in done.out
    assert "mm_sd_v15_v2.ckpt: motion module of SD 1.x" in done.out
    made = base(home, "dreamshaper_8")
    assert (made.t2i, made.presets) == (str(models / "DreamShaper 8.safetensors"), "animatediff")
    assert made.title == "DreamShaper 8, AnimateDiff"
    assert sorted(models.rglob("*")) == before, "nothing is copied or moved"
    catalogue = read_catalogue()
    assert not catalogue.notes
    assert catalogue.recipes["dreamshaper_8"].missing() is None
    again = call("models", "add", models / "DreamShaper 8.safetensors", models / "mm_sd_v15_v2.ckpt", "--json")
    assert [line["name"] for line in again.lines] == ["dreamshaper_8_2"], "nothing is overwritten"


def test_the_next_step_can_be_typed_as_it_stands(home: Path, models: Path, call: Call) -> None:
    done = call("models", "add", models / "DreamShaper 8.safetensors", models / "mm_sd_v15_v2.ckpt")
    step = done.out.splitlines()[-1].partition(": ")[2]
    words = [*shlex.split(step), "--fake", "--frames", "2", "--out", str(home / "out"), "--quiet"]
    made = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    assert made.returncode == 0, made.stderr
    assert len(list((home / "out").glob("*.png"))) == 2


@pytest.mark.parametrize(
    ("t2v", "presets", "frames"),
    [
        ("AnimateLCM_sd15_t2v.ckpt", "animatelcm", 16),
        ("lavie_base.pt", "lavie", 16),
        ("zeroscope_v2_576w", "zeroscope", 24),
    ],
)
def test_each_kind_gets_its_presets(home: Path, models: Path, call: Call, t2v: str, presets: str, frames: int) -> None:
    done = call("models", "add", models / t2v, models / "DreamShaper 8.safetensors", "--name", "mine")
    assert done.code == 0, done.err
    made = base(home, "mine")
    assert (made.presets, made.frames) == (presets, frames)
    loras = [(Path(lora.path).name, lora.weight) for lora in made.t2v_loras]
    assert loras == ([("AnimateLCM_sd15_t2v_lora.safetensors", 0.8)] if presets == "animatelcm" else [])
    assert "mine" in read_catalogue().recipes


def test_a_vae_loras_and_embeddings_find_their_places(home: Path, models: Path, call: Call) -> None:
    files = [models / name for name in ("cat.pt", "ink.safetensors", "vae-ft-mse.safetensors", "mm_sd_v15_v2.ckpt")]
    assert call("models", "add", *files, models / "DreamShaper 8.safetensors", "--title", "Sumi É").code == 0
    assert base(home, "sumi_e").vae == str(models / "vae-ft-mse.safetensors")
    made = style(home, "sumi_e")
    assert [lora.path for lora in made.loras] == [str(models / "ink.safetensors")]
    assert made.embeddings == (str(models / "cat.pt"),)
    assert made.prompt == "{prompt}, ink wash, sumi"
    assert made.title == "Sumi É"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("DreamShaper 8.safetensors",), "a motion module or text-to-video model is missing"),
        (("mm_sd_v15_v2.ckpt", "ink.safetensors"), "a text-to-image checkpoint is missing"),
        (("DreamShaper 8.safetensors", "mm_sd_v15_v2.ckpt", "lavie_base.pt"), "both of a kind"),
        (("DreamShaper 8.safetensors", "nowhere.ckpt"), "There is no file at"),
    ],
)
def test_what_makes_no_style_is_said(home: Path, models: Path, call: Call, names: tuple[str, ...], says: str) -> None:
    done = call("models", "add", *(models / name for name in names))
    assert done.code == 1
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (home / "config" / "bases").exists()


def test_a_style_is_made_changed_copied_and_removed(home: Path, models: Path, call: Call) -> None:
    ink = models / "ink.safetensors"
    assert call("styles", "new", "Quiet Fog", "--preset", "draft", "--negative", "noise").code == 0
    assert style(home, "quiet_fog") == StyleFile(
        title="Quiet Fog",
        base="embedded",
        preset="draft",
        negative_prompt="noise",
        example_prompt="a corgi running on a beach",
    )
    edited = call(
        "styles", "edit", "quiet_fog", "--title", "Fog", "--prompt", '{prompt}, "fog"', "--lora", f"{ink}:0.5"
    )
    assert edited.code == 1, "this LoRA is for another model than the embedded one"
    assert "ink.safetensors is a LoRA for text embeddings of width 64" in edited.err
    assert style(home, "quiet_fog").title == "Quiet Fog", "nothing was written"
    assert call("styles", "edit", "quiet_fog", "--title", "Fog", "--lora", "neon:0.5").code == 0
    (lora,) = style(home, "quiet_fog").loras
    assert (lora.name, lora.path, lora.weight) == ("neon", "", 0.5), "by its name: the clone may be moved"
    assert call("styles", "edit", "quiet_fog", "--lora", "neon:0.8").code == 0
    assert [lora.weight for lora in style(home, "quiet_fog").loras] == [0.8], "another weight, not another LoRA"
    assert call("styles", "copy", "quiet_fog", "fog_2").code == 0
    assert style(home, "fog_2").loras == style(home, "quiet_fog").loras
    assert call("styles", "edit", "fog_2", "--no-lora", "neon").code == 0
    assert style(home, "fog_2").loras == ()
    assert call("styles", "remove", "quiet_fog").code == 0
    listed = call("styles", "list", "--json").lines
    assert [line["name"] for line in listed if line["own"]] == ["fog_2"]


def test_a_style_says_that_a_lora_of_its_distils_the_model(home: Path, call: Call) -> None:
    assert (
        call("styles", "new", "quick", "--distilled", "lcm", "--lora", ROOT / "elevator/embedded/weights/lcm").code == 0
    )
    assert (style(home, "quick").preset, style(home, "quick").distilled) == ("turbo", "lcm")
    assert read_catalogue().recipes["quick"].style.presets == ("turbo",)
    assert call("styles", "edit", "quick", "--distilled", "none").code == 0
    assert style(home, "quick").preset == "published"
    refused = call("styles", "edit", "quick", "--preset", "turbo")
    assert refused.code == 1
    assert "the preset turbo is for text-to-image models that were distilled to a few steps" in refused.err


def test_trigger_words_are_added_where_they_are_missing(home: Path, models: Path, call: Call) -> None:
    call("models", "add", models / "DreamShaper 8.safetensors", models / "mm_sd_v15_v2.ckpt", "--name", "mine")
    ink = models / "ink.safetensors"
    done = call("styles", "edit", "mine", "--prompt", "Ink Wash of {prompt}", "--lora", ink)
    assert done.code == 0, done.err
    assert style(home, "mine").prompt == "Ink Wash of {prompt}, sumi"
    assert "--no-words leaves them out" in done.err
    call("styles", "copy", "mine", "bare")
    assert call("styles", "edit", "bare", "--prompt", "{prompt}", "--lora", ink, "--no-words").code == 0
    assert style(home, "bare").prompt == "{prompt}"


def test_a_lora_is_switched_off_and_kept(home: Path, call: Call) -> None:
    assert call("styles", "copy", "neon", "mine", "--lora-off", "neon").code == 0
    assert [(lora.name, lora.on) for lora in style(home, "mine").loras] == [("neon", False)]
    recipe = read_catalogue().recipes["mine"]
    assert recipe.sources.loras == ()
    assert [(view.name, view.own, view.weight) for view in recipe.style.loras if view.name == "neon"] == [
        ("neon", False, style(home, "mine").loras[0].weight)
    ]
    assert call("styles", "edit", "mine", "--lora-on", "neon").code == 0
    assert style(home, "mine").loras[0].on
    assert len(read_catalogue().recipes["mine"].sources.loras) == 1
    call("styles", "edit", "mine", "--lora-off", "neon")
    assert call("styles", "edit", "mine", "--lora", "neon:0.3").code == 0
    assert [(lora.on, lora.weight) for lora in style(home, "mine").loras] == [(True, 0.3)], "who names it wants it"


def test_a_lora_for_the_camera_is_called_as_it_is_listed(home: Path, models: Path, tmp_path: Path, call: Call) -> None:
    """Those of the hub lie in files of one name, each in a folder of its own."""
    file = tmp_path / "camera_pan_left" / "diffusion_pytorch_model.safetensors"
    file.parent.mkdir()
    layer = "unet.down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.processor"
    save_file({f"{layer}.to_q_lora.{side}.weight": torch.ones(2, 2) for side in ("down", "up")}, file)
    pair = models / "DreamShaper 8.safetensors", models / "mm_sd_v15_v2.ckpt"
    assert call("models", "add", *pair, file, "--name", "mine").code == 0
    assert [lora.path for lora in style(home, "mine").loras] == [str(file)]
    assert call("styles", "edit", "mine", "--lora-off", "camera_pan_left").code == 0
    assert read_catalogue().recipes["mine"].style.loras[0].name == "camera_pan_left"
    assert not style(home, "mine").loras[0].on
    assert call("styles", "edit", "mine", "--lora", "camera_pan_left:0.8").code == 0
    assert [(lora.path, lora.weight, lora.on) for lora in style(home, "mine").loras] == [(str(file), 0.8, True)]


def test_settings_of_the_plan_are_set_and_taken_away(home: Path, call: Call) -> None:
    made = call("styles", "new", "mine", "--set", "guidance=5", "--set", "lowpass.method=none")
    assert made.code == 0, made.err
    assert style(home, "mine").plan == {"guidance": 5, "lowpass": {"method": "none"}}
    assert read_catalogue().recipes["mine"].plan.guidance == 5
    assert call("styles", "edit", "mine", "--set", "guidance_t2i=4").code == 1, "there is no such setting"
    assert call("styles", "edit", "mine", "--set", "guidance=6").code == 0
    assert style(home, "mine").plan == {"guidance": 6, "lowpass": {"method": "none"}}
    assert call("styles", "edit", "mine", "--no-plan").code == 0
    assert style(home, "mine").plan == {}


def test_any_of_the_files_keys_comes_as_json(home: Path, models: Path, call: Call) -> None:
    call("models", "add", models / "DreamShaper 8.safetensors", models / "mm_sd_v15_v2.ckpt", "--name", "mine")
    ink = str(models / "ink.safetensors")
    content = {"title": "-Fog-", "loras": [{"path": ink, "weight": 0.5, "on": True}], "plan": {"eta": 0.5}}
    done = call("styles", "edit", "mine", "--content", json.dumps(content), "--json")
    assert done.code == 0, done.err
    assert done.lines[0]["settings"]["title"] == "-Fog-"
    wanted = style(home, "mine")
    assert (wanted.title, wanted.plan, wanted.preset) == ("-Fog-", {"eta": 0.5}, "published")
    assert wanted.loras == (LoraEntry(path=ink, weight=0.5),)
    assert wanted.prompt == "{prompt}, ink wash, sumi", "what a new LoRA is called up by"
    call("styles", "edit", "mine", "--prompt", "{prompt}")
    shown = call("styles", "show", "mine", "--json").lines[0]["settings"]
    assert call("styles", "edit", "mine", "--content", json.dumps(shown)).code == 0
    assert style(home, "mine").prompt == "{prompt}", "the LoRA was there before"
    assert style(home, "mine") == msgspec.structs.replace(wanted, prompt="{prompt}")


def test_loras_are_named_as_a_client_sees_them(home: Path, models: Path, call: Call) -> None:
    call("models", "add", models / "DreamShaper 8.safetensors", models / "mm_sd_v15_v2.ckpt", "--name", "mine")
    own = home / "config" / "loras" / "sumi.safetensors"
    own.parent.mkdir(parents=True)
    own.write_bytes((models / "ink.safetensors").read_bytes())
    call("styles", "edit", "mine", "--lora", models / "ink.safetensors", "--no-words")
    names = [view.name for view in read_catalogue().recipes["mine"].style.loras]
    assert names == ["ink.safetensors", "sumi.safetensors"]
    loras = [{"name": "ink.safetensors", "on": False}, {"name": "sumi.safetensors", "weight": 0.25}]
    done = call("styles", "copy", "mine", "other", "--content", json.dumps({"loras": loras}))
    assert done.code == 0, done.err
    assert style(home, "other").loras == (
        LoraEntry(path=str(models / "ink.safetensors"), on=False),
        LoraEntry(path=str(own), weight=0.25),
    )
    missing = call("styles", "edit", "other", "--content", '{"loras": [{"name": "gone"}]}')
    assert missing.code == 1
    assert 'there is no LoRA "gone"' in missing.err


def test_an_embedding_is_taken_away_and_what_was_wrong_before_is_told(home: Path, call: Call) -> None:
    file = home / "config" / "styles" / "mine.toml"
    file.parent.mkdir(parents=True)
    made = 'title = "M"\nbase = "embedded"\npreset = "draft"\nexample_prompt = "a fox"\n'
    file.write_text(made + 'embeddings = ["cat.pt", "dog.pt", "/m/owl.pt"]\n', encoding="utf-8")
    done = call("styles", "edit", "mine", "--no-embedding", "cat", "--no-embedding", "/m/owl.pt")
    assert done.code == 0, done.err
    assert style(home, "mine").embeddings == ("dog.pt",)
    assert "dog.pt is missing" in done.err, "it is no fault of this change"
    assert call("styles", "edit", "mine", "--no-embedding", "cat").code == 1
    refused = call("styles", "edit", "mine", "--embedding", home / "new.pt")
    assert refused.code == 1
    assert "new.pt is missing" in refused.err
    assert style(home, "mine").embeddings == ("dog.pt",)


def test_a_disk_that_refuses_is_said(home: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("styles", "new", "mine")
    for error, code, exit_code in (
        (PermissionError(errno.EACCES, "Permission denied"), "folder_unwritable", 5),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full", 5),
        (FileExistsError(errno.EEXIST, "File exists"), "style_exists", 1),
    ):

        def refuse(*arguments: object, error: OSError = error, **options: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(files, "write", refuse)
            patch.setattr(files, "patiently", refuse)
            done = call("styles", "new", "other", "--json")
            assert (done.code, done.lines[-1]["code"]) == (exit_code, code)
            if exit_code == 5:
                done = call("styles", "remove", "mine", "--json")
                assert (done.code, done.lines[-1]["code"]) == (exit_code, code)
    assert [path.name for path in (home / "config" / "styles").iterdir()] == ["mine.toml"]


def test_a_name_is_given_or_made_from_a_title(home: Path, call: Call) -> None:
    for given, name, title in (
        ("quiet_fog", "quiet_fog", "Quiet Fog"),
        ("Café, v2", "cafe_v2", "Café, v2"),
        ("T" * 70, "t" * 60, "T" * 64),
    ):
        assert call("styles", "new", given).code == 0
        assert style(home, name).title == title
    assert call("styles", "new", "quiet_fog", "--preset", "draft").code == 1
    assert call("styles", "new", "quiet_fog", "--preset", "draft", "--overwrite").code == 0
    assert style(home, "quiet_fog").preset == "draft"
    assert call("styles", "copy", "quiet_fog", "cafe_v2").code == 1
    assert call("styles", "copy", "quiet_fog", "cafe_v2", "--overwrite").code == 0
    assert (style(home, "cafe_v2").title, style(home, "cafe_v2").preset) == ("Cafe V2", "draft")
    assert call("styles", "new", "neon", "--overwrite").code == 1, "one of ours is changed by a copy alone"


def test_what_is_changed_is_said_for_people_and_scripts(home: Path, call: Call) -> None:
    made = call("styles", "new", "mine", "--json").lines
    assert [(line["type"], line["name"], line["own"]) for line in made] == [("StyleLine", "mine", True)]
    said = call("styles", "edit", "mine", "--title", "Fog").out.splitlines()
    assert said[0] == f"The style is {home / 'config' / 'styles' / 'mine.toml'}."
    assert said[1].endswith("generate 'a corgi running on a beach' --style mine")
    rows = [line.split() for line in call("styles", "list").out.splitlines()]
    assert rows[0] == ["name", "title", "base", "preset"]
    assert ["mine", "Fog", "embedded", "published", "own"] in rows
    assert ["neon", "Neon", "embedded", "published"] in rows
    bases = [line.split()[:2] for line in call("styles", "bases").out.splitlines()]
    assert bases[0] == ["name", "title"]
    assert "embedded" in [row[0] for row in bases]
    assert call("styles", "show", "mine").out.startswith(f"# {home / 'config' / 'styles' / 'mine.toml'}\n")
    gone = call("styles", "remove", "mine")
    assert gone.out == f"Deleted: {home / 'config' / 'styles' / 'mine.toml'}. Its base and models stay.\n"
    call("styles", "new", "mine")
    (line,) = call("styles", "remove", "mine", "--json").lines
    assert line == {"type": "Removed", "files": [str(home / "config" / "styles" / "mine.toml")]}


def test_models_are_added_under_a_name_that_is_free_or_shall_be_replaced(
    home: Path, models: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = models / "DreamShaper 8.safetensors", models / "mm_sd_v15_v2.ckpt"
    assert call("models", "add", *pair, "--name", "mine").code == 0
    again = call("models", "add", *pair, "--name", "mine", "--json")
    assert (again.code, again.lines[-1]["code"]) == (1, "style_exists")
    assert call("models", "add", *pair, "--name", "mine", "--title", "New", "--overwrite").code == 0
    assert style(home, "mine").title == "New"
    wrong = call("models", "add", *pair, "--name", "My Own", "--json")
    assert (wrong.code, wrong.lines[-1]["code"]) == (1, "style_unwritten")
    for error, code in (
        (FileExistsError(errno.EEXIST, "File exists"), "style_exists"),
        (PermissionError(errno.EACCES, "Permission denied"), "folder_unwritable"),
    ):

        def refuse(*arguments: object, error: OSError = error, **options: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(files, "write", refuse)
            assert call("models", "add", *pair, "--name", "other", "--json").lines[-1]["code"] == code


def test_a_video_model_whose_presets_are_others_makes_no_style(home: Path, tmp_path: Path, call: Call) -> None:
    video = tools.diffusers(tmp_path / "zeroscope", "UNet3DConditionModel", 1024)
    (video / "presets.toml").write_text("[quick]\nsteps = 3\nrefine = []\n")
    t2i = tools.model(tmp_path / "dream.safetensors", tools.SD1)
    done = call("models", "add", t2i, video, "--name", "mine", "--json")
    assert (done.code, done.lines[-1]["code"]) == (1, "style_unwritten")
    assert 'has no preset "published", only quick' in done.err


def test_bases_are_listed_with_their_presets(home: Path, models: Path, call: Call) -> None:
    call("models", "add", models / "DreamShaper 8.safetensors", models / "lavie_base.pt", "--name", "mine")
    (home / "config" / "bases" / "broken.toml").write_text("t2i =", encoding="utf-8")
    done = call("styles", "bases", "--json")
    assert done.code == 0
    told = {line["name"]: (line["own"], line["presets"]) for line in done.lines}
    assert told["mine"] == (True, list(fitting(read_presets_of_lavie(), few_steps=False)))
    assert told["embedded"][0] is False
    assert "published" in told["embedded"][1]
    assert "broken" not in told
    assert 'The base "broken" was skipped' in done.err


def read_presets_of_lavie() -> Mapping[str, Preset]:
    return presets_for("lavie")


def test_ours_is_changed_as_a_copy(home: Path, call: Call) -> None:
    assert call("styles", "edit", "neon", "--title", "My Neon").code == 0
    assert read_catalogue().recipes["neon"].style.title == "My Neon"
    assert [lora.name for lora in style(home, "neon").loras] == ["neon"]
    assert call("styles", "remove", "neon").code == 0
    assert read_catalogue().recipes["neon"].style.title == "Neon"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("new", "x", "--base", "nowhere"), 'there is no base "nowhere"'),
        (("new", "x", "--preset", "slow"), 'has no preset "slow", only published'),
        (("new", "x", "--prompt", "no place"), "must hold {prompt} once"),
        (("new", "x", "--lora", "nothing"), 'there is no LoRA "nothing"'),
        (("new", "x", "--lora", "neon:9"), "the weight 9 is not between -4 and 4"),
        (("new", "neon"), 'There is a style or base "neon" already'),
        (("new", "x", "--title", "t" * 65), '"title" must have at most 64 letters'),
        (("copy", "nowhere", "x"), 'there is no style "nowhere"'),
        (("edit", "plain", "--no-lora", "ink"), 'the style has no LoRA "ink"'),
        (("edit", "plain", "--lora-off", "ink"), 'the style has no LoRA "ink"'),
        (("edit", "plain", "--content", '{"prmpt": "x"}'), "prmpt"),
        (("edit", "plain", "--content", '{"plan": 3}'), '"plan"'),
        (("edit", "plain", "--set", "stpes=3"), "stpes"),
        (("edit", "plain", "--set", "lowpass=3", "--set", "lowpass.method=box"), "contradict each other"),
        (("edit", "plain", "--no-embedding", "cat"), 'the style has no embedding "cat"'),
        (("edit", "plain", "--lora-on", "ink"), 'the style has no LoRA "ink"'),
        (("remove", "plain"), "comes with the product and stays"),
        (("remove", "../x"), "is not there"),
        (("thumbnail", "plain"), "is not your own"),
    ],
)
def test_what_cannot_be_done_is_said_and_writes_nothing(
    home: Path, call: Call, words: tuple[str, ...], says: str
) -> None:
    done = call("styles", *words)
    assert done.code == 1
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (home / "config" / "styles").exists()


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 5000, "1"])
def test_content_that_is_no_object_is_a_mistake_of_the_command_line(
    home: Path, call: Call, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        call("styles", "edit", "plain", "--content", content)
    assert "it is no JSON object" in capsys.readouterr().err


def test_show_is_the_file(home: Path, call: Call) -> None:
    call("styles", "new", "mine", "--description", 'says "hello"')
    shown = call("styles", "show", "mine")
    assert shown.out.splitlines()[1:] == (home / "config/styles/mine.toml").read_text(encoding="utf-8").splitlines()
    line: dict[str, Any] = call("styles", "show", "mine", "--json").lines[0]
    assert line["settings"]["description"] == 'says "hello"'


def test_a_style_that_is_broken_is_listed_with_its_reason(home: Path, call: Call) -> None:
    (home / "config" / "styles").mkdir(parents=True)
    (home / "config" / "styles" / "mine.toml").write_text("title = ", encoding="utf-8")
    done = call("styles", "list", "--json")
    (broken,) = [line for line in done.lines if line["problem"]]
    assert broken["name"] == "mine"
    assert done.err.count("has a mistake") == 1


def test_a_running_backend_makes_the_picture_and_shows_it(
    home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as backend, backend.client() as client:
        assert call("styles", "new", "mine").code == 0
        picture = home / "config" / "styles" / "mine.png"
        done = call("styles", "thumbnail", "mine")
        assert done.code == 0, done.err
        assert picture.read_bytes().startswith(PNG)
        assert _side(picture) == (128, 128), "as large as the embedded models paint"
        assert call("styles", "thumbnail", "mine").code == 1, "one is there"
        assert call("styles", "thumbnail", "mine", "--overwrite").code == 0
        client.status()
        shown = _shown(backend, "mine")
        assert shown != ""
        _own(home, "min_size = 48\nsize_step = 24\nmax_size = 480\nframes = 3\n")
        assert call("styles", "thumbnail", "own").code == 0
        own = home / "config" / "styles" / "own.png"
        assert _side(own) == (240, 240), "the largest multiple of the style's step that a picture may have"
        most = own.stat().st_size - 1
        monkeypatch.setattr(style_pictures, "THUMBNAIL_BYTES", most)
        assert call("styles", "thumbnail", "own", "--overwrite").code == 0
        assert _side(own) == (128, 128), "smaller, until it may be sent"
        assert own.stat().st_size <= most
        with connect() as connected:
            made = [view for view in connected.jobs(9).jobs if view.width == 240]
        assert [(view.frames, view.height, view.seed) for view in made] == [(3, 240, 1)] * 2
        records = [json.loads((Path(view.folder) / "clip.json").read_bytes()) for view in made]
        assert "draft" in str(records[0]), "the quickest of its presets"

        def full(*arguments: object, **options: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(files, "write", full)
        refused = call("styles", "thumbnail", "mine", "--overwrite", "--json")
        assert (refused.code, refused.lines[-1]["code"]) == (5, "disk_full")


def _own(home: Path, limits: str) -> None:
    """A style on a base with these limits."""
    (home / "config" / "bases").mkdir()
    (home / "config" / "bases" / "own.toml").write_text(
        f'title = "B"\nt2i = "a"\nt2v = "b"\npresets = "zeroscope"\n{limits}', encoding="utf-8"
    )
    (home / "config" / "styles" / "own.toml").write_text(
        'title = "T"\nbase = "own"\npreset = "published"\nexample_prompt = "a fox"\n', encoding="utf-8"
    )


def _side(picture: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(picture) as opened:
        return opened.size


def _shown(backend: Running, name: str) -> str:
    from tests.backend.harness import greet

    with backend.client() as client:
        return next(style.thumbnail for style in greet(client).styles if style.name == name)
