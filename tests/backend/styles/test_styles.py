"""Styles and bases: files that are right are listed, files that are wrong are skipped with a sentence."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.failures import BackendError
from backend.root import ROOT
from backend.server import requests
from backend.server.requests import resolve
from backend.styles.catalogue import read_catalogue
from backend.styles.files import BASES, STYLES, Base, StyleFile
from backend.styles.recipes import PNG, THUMBNAIL_BYTES
from elevator import Lora, Plan, Sources, load_shapes
from elevator.presets import presets_for
from shared_protocol.messages import Generate

GUIDE = (ROOT / "docs" / "STYLES.md").read_text(encoding="utf-8")
GOOD = 'title = "T"\nbase = "embedded"\npreset = "published"\nexample_prompt = "a cat"\n'
BASE = 'title = "B"\nt2i = "a.safetensors"\nt2v = "/m/b.ckpt"\n'
PRESET = "[presets.published]\n"
JOB = "0" * 32


def request(**fields: Any) -> Generate:
    values = {"prompt": "a cat", "style": "mine", "frames": 16, "width": 64, "height": 64, "seed": 1, **fields}
    return Generate(job=JOB, **values)


@pytest.fixture
def own(home: Path) -> Path:
    folder = home / "config" / "styles"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def own_bases(home: Path) -> Path:
    folder = home / "config" / "bases"
    folder.mkdir(parents=True)
    return folder


def test_the_styles_that_come_with_the_product_are_all_right() -> None:
    catalogue = read_catalogue()
    assert not catalogue.notes
    assert set(catalogue.recipes) == {path.stem for path in STYLES.glob("*.toml")}
    assert {"plain", "sketch", "pixel_art", "neon"} <= set(catalogue.recipes)
    assert next(iter(catalogue.recipes)) == "plain"
    for style in catalogue.styles:
        assert style.min_size <= min(style.width, style.height)
        assert max(style.width, style.height) <= style.max_size
        assert style.width % style.size_step == style.height % style.size_step == 0
        assert style.frames <= style.max_frames
        assert style.example_prompt
        assert style.description.endswith(".")


def test_titles_are_written_as_blender_writes_names() -> None:
    for recipe in read_catalogue().recipes.values():
        for word in recipe.style.title.split():
            assert word[0].isupper(), recipe.style.title


@pytest.mark.slow
def test_limits_of_our_bases_are_those_of_their_models() -> None:
    """The server tells limits without torch, so the bases' files hold them too."""
    recipes = read_catalogue().recipes.values()
    each = {recipe.style.base: recipe for recipe in recipes}
    assert set(each) == {path.stem for path in BASES.glob("*.toml")}
    for recipe in each.values():
        models, style = load_shapes(recipe.sources).models, recipe.style
        assert style.size_step == models.size_multiple
        assert style.min_size % style.size_step == style.max_size % style.size_step == 0
        assert style.max_frames <= (models.max_frames or style.max_frames)


def test_a_users_style_is_found_and_may_replace_ours(own: Path) -> None:
    (own / "mine.toml").write_text(GOOD + '[[loras]]\npath = "l.safetensors"\nweight = 0.5\n', encoding="utf-8")
    (own / "plain.toml").write_text(GOOD.replace('"T"', '"My plain"'), encoding="utf-8")
    catalogue = read_catalogue()
    assert not catalogue.notes
    assert catalogue.recipes["plain"].style.title == "My plain"
    (lora,) = catalogue.recipes["mine"].sources.loras
    assert Path(lora.path) == own / "l.safetensors"
    assert lora.weight == 0.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title = ", "mistake"),
        (GOOD.replace("base", "bass"), "bass"),
        (GOOD.replace("embedded", "../bases/embedded"), "no base"),
        (GOOD.replace("embedded", "imaginary"), "imaginary"),
        (GOOD.replace("published", "secret"), "only published"),
        (GOOD + 'prompt = "no place"\n', "{prompt}"),
        (GOOD + 'prompt = "{prompt} {prompt}"\n', "{prompt}"),
        (GOOD + "[plan]\nsteps = 0\n", "steps"),
        (GOOD + "[plan]\nnonsense = 1\n", "nonsense"),
        (GOOD + "[[loras]]\nweight = 1.0\n", "name or a path"),
        (GOOD + '[[loras]]\nname = "a"\npath = "b"\n', "name or a path"),
        (GOOD + '[[loras]]\nname = "a"\nweight = "strong"\n', "mistake"),
        (GOOD + "[[loras]]\nweight = 99.0\n", "mistake"),
        (GOOD.replace('"T"', '""'), "mistake"),
        (GOOD + "loras_on_t2v = 1\n", "loras_on_t2v"),
        (GOOD + 'embeddings = "cat.pt"\n', "embeddings"),
        (GOOD + 'embeddings = [""]\n', "embeddings"),
    ],
)
def test_a_wrong_file_is_skipped_with_a_sentence(own: Path, text: str, says: str) -> None:
    (own / "mine.toml").write_text(text, encoding="utf-8")
    catalogue = read_catalogue()
    assert "mine" not in catalogue.recipes
    assert "plain" in catalogue.recipes
    (note,) = catalogue.notes
    assert "mine.toml" in note
    assert says in note
    assert note.endswith(".")
    assert not note.endswith("..")


def test_a_png_beside_a_style_is_its_picture(own: Path) -> None:
    (own / "mine.toml").write_text(GOOD, encoding="utf-8")
    assert read_catalogue().recipes["mine"].style.thumbnail == ""
    picture = PNG.ljust(THUMBNAIL_BYTES, b"x")
    (own / "mine.png").write_bytes(picture)
    catalogue = read_catalogue()
    sha256 = hashlib.sha256(picture).hexdigest()
    assert catalogue.recipes["mine"].style.thumbnail == sha256
    assert catalogue.thumbnails[sha256] == picture
    assert not catalogue.notes


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"GIF89a", "mine.png is no PNG"),
        (b"", "mine.png is no PNG"),
        (PNG.ljust(THUMBNAIL_BYTES + 1, b"x"), "mine.png has 262145 bytes, and 262144 at most"),
    ],
)
def test_a_picture_that_cannot_be_shown_leaves_its_style_alone(own: Path, data: bytes, says: str) -> None:
    (own / "mine.toml").write_text(GOOD, encoding="utf-8")
    (own / "mine.png").write_bytes(data)
    catalogue = read_catalogue()
    assert catalogue.recipes["mine"].style.thumbnail == ""
    (note,) = catalogue.notes
    assert says in note


def test_each_of_our_styles_has_a_picture(home: Path) -> None:
    catalogue = read_catalogue()
    pictures = {name: recipe.thumbnail for name, recipe in catalogue.recipes.items()}
    assert set(catalogue.thumbnails.values()) == set(pictures.values())
    for name, data in pictures.items():
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None, name
        assert picture.shape == (64, 64, 3)
        assert picture.std() > 10, "something is seen"


def test_strange_files_are_skipped(own: Path) -> None:
    (own / "Ünïcode style.toml").write_text(GOOD, encoding="utf-8")
    (own / "latin.toml").write_bytes('title = "é"'.encode("latin-1"))
    (own / "folder.toml").mkdir()
    catalogue = read_catalogue()
    assert len(catalogue.notes) == 3
    assert "plain" in catalogue.recipes


def test_a_broken_base_takes_only_its_styles_along(tmp_path: Path) -> None:
    bases = tmp_path / "bases"
    bases.mkdir()
    (bases / "embedded.toml").write_bytes((BASES / "embedded.toml").read_bytes().replace(b"fps = 8", b"fps = 0"))
    catalogue = read_catalogue(bases=bases)
    assert not catalogue.recipes
    assert len(catalogue.notes) == len(list(STYLES.glob("*.toml")))


def test_a_style_adds_its_words_and_settings(own: Path) -> None:
    text = GOOD + 'prompt = "ink drawing of {prompt}, detailed"\nnegative_prompt = "blurry"\n[plan]\nguidance = 5.0\n'
    (own / "mine.toml").write_text(text, encoding="utf-8")
    order, warnings = resolve(request(negative_prompt=" dogs "), read_catalogue(), fake=True)
    assert order.prompt == "ink drawing of a cat, detailed"
    assert order.negative_prompt == "blurry, dogs"
    assert order.plan.guidance == 5.0
    assert order.plan.steps == read_catalogue().recipes["plain"].plan.steps
    assert not warnings


def test_braces_in_a_prompt_are_just_braces(own: Path) -> None:
    (own / "mine.toml").write_text(GOOD + 'prompt = "{prompt}, {ink}"\n', encoding="utf-8")
    order, _ = resolve(request(prompt="{0} {prompt} {x!r}"), read_catalogue(), fake=True)
    assert order.prompt == "{0} {prompt} {x!r}, {ink}"


def test_words_that_the_models_do_not_know_are_named(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "misfits", lambda sources: ())  # the folder holds a list of words alone
    (own / "mine.toml").write_text(GOOD, encoding="utf-8")
    catalogue = read_catalogue()
    (tmp_path / "known_words.txt").write_text("a\ncat\n", encoding="utf-8")
    recipe = dataclasses.replace(catalogue.recipes["mine"], sources=Sources.of(tmp_path, tmp_path))
    taught = dataclasses.replace(catalogue, recipes={"mine": recipe})
    _, (warning,) = resolve(request(prompt="a purple cat"), taught, fake=False)
    assert "“purple”" in warning
    assert "cat" not in warning
    assert resolve(request(prompt="a cat"), taught, fake=False)[1] == ()
    assert resolve(request(prompt="(a:1.2) [cat] (cat:1e3)"), taught, fake=False)[1][-1].count("“") == 1
    assert resolve(request(prompt="((a:1.2) [cat]:0.8)"), taught, fake=False)[1] == ()
    _, (left_out, warning) = resolve(request(prompt="a <lora:pixie:1> (purple:1.2) cat"), taught, fake=False)
    assert "<lora:pixie:1> is left out" in left_out
    assert "know “purple”:" in warning


def test_syntax_that_is_not_understood_is_said_once(own: Path) -> None:
    (own / "mine.toml").write_text(GOOD + 'prompt = "{prompt} BREAK"\nnegative_prompt = "[b|c]"\n', encoding="utf-8")
    catalogue = read_catalogue()
    _, warnings = resolve(request(prompt="a BREAK (cat", negative_prompt="BREAK [d|e]"), catalogue, fake=True)
    assert sorted(warning.split(" ")[0] for warning in warnings) == ["A", "BREAK", "[b|c]", "[d|e]"]
    _, warnings = resolve(request(prompt="(cat:1.3) unknown:cow"), read_catalogue(), fake=True)
    assert [warning for warning in warnings if "BREAK" not in warning and "|" not in warning] == [
        "The models do not know “cow”: the clip is made all the same, but may not show it."
    ]


PIECES = ["cat", " ", "1.2", "(", ")", "[", "]", ":", "|", "\\", "BREAK", "AND", "<lora:a:1>", "9)", "é"]


@pytest.mark.slow
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map("".join).filter(str.strip))
@settings(deadline=None, max_examples=50)
def test_warnings_of_any_prompt_fit_the_wire(prompt: str) -> None:
    _, warnings = resolve(request(prompt=prompt, style="plain"), read_catalogue(), fake=False)
    assert len(set(warnings)) == len(warnings)
    assert all(0 < len(warning) <= 2000 for warning in warnings)


def write_own(own: Path, own_bases: Path, base: str, style: str = "", name: str = "mine") -> None:
    (own_bases / f"{name}.toml").write_text(base, encoding="utf-8")
    (own / "mine.toml").write_text(GOOD.replace("embedded", name) + style, encoding="utf-8")


def test_a_users_base_starts_at_its_file_and_may_replace_ours(own: Path, own_bases: Path) -> None:
    write_own(own, own_bases, BASE + PRESET)
    recipe = read_catalogue().recipes["mine"]
    assert (recipe.sources.t2i_path, recipe.sources.t2v_path) == (own_bases / "a.safetensors", Path("/m/b.ckpt"))
    assert (recipe.style.width, recipe.style.height, recipe.style.frames, recipe.fps) == (512, 512, 16, 8)
    assert read_catalogue().recipes["plain"].sources.t2i_path == ROOT / "elevator/embedded/weights/t2i"
    write_own(own, own_bases, BASE + PRESET, name="embedded")
    catalogue = read_catalogue()
    assert not catalogue.notes
    assert (
        catalogue.recipes["plain"].sources.t2i_path
        == catalogue.recipes["mine"].sources.t2i_path
        == own_bases / "a.safetensors"
    )
    t2i = {name: recipe.sources.t2i_path for name, recipe in catalogue.recipes.items()}
    assert t2i["plain"] == t2i["mine"] == own_bases / "a.safetensors"
    assert t2i["plain_animatediff"] == ROOT / "elevator/embedded/weights/t2i"


FULL_BASE = """
vae = "vae.pt"
prediction_type = "v_prediction"
rescale_betas_zero_snr = true
distilled = "lcm"
t2v_loras = [{ path = "motion.safetensors", weight = 0.8 }, { name = "named" }]
t2v_text = "/m/text"
t2v_schedule = "lcm"
"""
FULL_STYLE = 'loras_on_t2v = true\nembeddings = ["cat.pt", "/m/dog.pt"]\n[[loras]]\nname = "ink"\n'


def test_all_that_a_base_and_a_style_say_is_in_the_order(own: Path, own_bases: Path) -> None:
    write_own(own, own_bases, BASE + FULL_BASE + PRESET, FULL_STYLE)
    sources = resolve(request(width=512, height=512), read_catalogue(), fake=True)[0].sources
    assert sources.vae == str(own_bases / "vae.pt")
    assert (sources.prediction_type, sources.rescale_betas_zero_snr) == ("v_prediction", True)
    assert sources.distilled == "lcm"
    named = own_bases / "loras" / "named"
    assert sources.t2v_loras == (
        Lora(path=str(own_bases / "motion.safetensors"), weight=0.8),
        Lora(path=str(named), weight=1.0),
    )
    assert sources.t2v_text == str(Path("/m/text"))
    assert sources.t2v_schedule == "lcm"
    assert sources.loras == (Lora(path=str(own_bases / "loras" / "ink"), weight=1.0),)
    assert sources.loras_on_t2v
    assert sources.embeddings == (str(own / "cat.pt"), str(Path("/m/dog.pt")))
    write_own(own, own_bases, BASE + PRESET)
    bare = resolve(request(width=512, height=512), read_catalogue(), fake=True)[0].sources
    assert (bare.vae, bare.prediction_type, bare.rescale_betas_zero_snr) == (None,) * 3
    assert (bare.t2v_text, bare.t2v_schedule) == (None,) * 2
    assert (bare.t2v_loras, bare.loras_on_t2v, bare.embeddings) == ((), False, ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('title = "B"\n' + PRESET, '"t2i" is missing'),
        (BASE + "presets = 'zeroskope'\n", "presets"),
        (BASE + "vea = 'v'\n" + PRESET, "vea"),
        (BASE.replace("a.safetensors", "") + PRESET, "t2i"),
        (BASE + "vae = ''\n" + PRESET, "vae"),
        (BASE + "prediction_type = 'sample'\n" + PRESET, 'cannot be "sample"'),
        (BASE + "t2v_schedule = 'ddim'\n" + PRESET, 'cannot be "ddim"'),
        (BASE + "t2v_loras = ['l.safetensors']\n" + PRESET, "t2v_loras"),
        (BASE + "t2v_loras = [{ weight = 1.0 }]\n" + PRESET, "name or a path"),
        (BASE + "t2v_loras = [{ path = 'l', weight = nan }]\n" + PRESET, "weight"),
    ],
)
def test_a_wrong_base_of_a_user_is_named_in_a_sentence(own: Path, own_bases: Path, text: str, says: str) -> None:
    write_own(own, own_bases, text)
    catalogue = read_catalogue()
    assert "plain" in catalogue.recipes
    (note,) = catalogue.notes
    assert "bases/mine.toml has a mistake: " in note
    assert says in note
    assert note.endswith(".")


PIXELS, FRAMES = (8, 8192), (1, 1024)
NUMBERS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("width", "height", "size_step", "min_size", "max_size"), PIXELS),
    **dict.fromkeys(("frames", "max_frames"), FRAMES),
    "fps": (0.01, 1000.0),
}
TEXTS = {
    **dict.fromkeys(("title", "base", "preset"), (1, 64)),
    **dict.fromkeys(("description", "negative_prompt", "example_prompt"), (0, 2000)),
    "prompt": (len("{prompt}"), 2000),
}


def ends(least: float, most: float) -> list[tuple[float, bool]]:
    """Both ends of a range and one step beyond each, and whether the value fits."""
    below, above = (
        (least - 1, most + 1) if isinstance(least, int) else (math.nextafter(least, -9), math.nextafter(most, 9e9))
    )
    return [(least, True), (most, True), (below, False), (above, False)]


def notes_about(own: Path, own_bases: Path, base: str, style: str = "") -> tuple[str, ...]:
    """What is said about a base and a style of it."""
    write_own(own, own_bases, BASE + base + PRESET, style)
    return read_catalogue().notes


@pytest.mark.slow
def test_both_ends_of_every_number_of_a_base_are_taken_and_no_more(own: Path, own_bases: Path) -> None:
    numbers = msgspec.inspect.IntType, msgspec.inspect.FloatType
    info = msgspec.inspect.type_info(Base)
    assert isinstance(info, msgspec.inspect.StructType)
    assert NUMBERS.keys() == {field.name for field in info.fields if isinstance(field.type, numbers)}
    for key, (least, most) in NUMBERS.items():
        for value, fits in ends(least, most):
            notes = notes_about(own, own_bases, f"{key} = {value}\n")
            assert bool(notes) != fits, (key, value)
            bound = f"{least:g} or more" if value < least else f"{most:g} or less"
            assert all(note.endswith(f'mine.toml has a mistake: "{key}" must be {bound}.') for note in notes)


def test_both_ends_of_a_loras_weight_are_taken_and_no_more(own: Path, own_bases: Path) -> None:
    for value, fits in ends(-4.0, 4.0):
        entries = f"[{{ path = 'l', weight = {value!r} }}]\n"
        for key, notes in (
            ("t2v_loras", notes_about(own, own_bases, f"t2v_loras = {entries}")),
            ("loras", notes_about(own, own_bases, "", f"loras = {entries}")),
        ):
            assert bool(notes) != fits, (key, value)
            bound = "-4 or more" if value < -4 else "4 or less"
            assert all(note.endswith(f'"weight" in entry 1 of "{key}" must be {bound}.') for note in notes)


def test_both_ends_of_every_texts_length_are_taken_and_no_more(own: Path, own_bases: Path) -> None:
    for key, (least, most) in TEXTS.items():
        for length in {least, most, most + 1} | {least - 1} - {-1}:
            name = "x" * int(length)
            text = {"title": "T", "base": "mine", "preset": "published", "example_prompt": "a cat"}
            text |= {key: f"{{prompt}}{name}"[: int(length)] if key == "prompt" else name}
            base = BASE + f"[presets.{json.dumps(text['preset'])}]\n"
            (own_bases / f"{text['base'][:64]}.toml").write_text(base, encoding="utf-8")
            style = "".join(f"{name} = {json.dumps(value)}\n" for name, value in text.items())
            (own / "mine.toml").write_text(style, encoding="utf-8")
            notes = read_catalogue().notes
            assert bool(notes) != (least <= length <= most), (key, length)
            assert all(key in note and note.endswith(".") for note in notes)


def test_both_ends_of_the_length_of_a_bases_title_are_taken_and_no_more(own: Path, own_bases: Path) -> None:
    for length, fits in ends(1, 64):
        write_own(own, own_bases, BASE.replace('"B"', json.dumps("x" * int(length))) + PRESET)
        notes = read_catalogue().notes
        assert bool(notes) != fits, length
        bound = "must have at most 64 letters" if length else "must not be empty"
        assert all(note.endswith(f'"title" {bound}.') for note in notes)


def test_the_first_missing_file_is_named(own: Path, own_bases: Path) -> None:
    local = (BASE + FULL_BASE + PRESET).replace("/m/", "")
    write_own(own, own_bases, local, FULL_STYLE.replace("/m/", ""))
    catalogue = read_catalogue()
    in_bases = ["a.safetensors", "b.ckpt", "vae.pt", "text", "motion.safetensors", "loras/named", "loras/ink"]
    for path in (*(own_bases / name for name in in_bases), own / "cat.pt", own / "dog.pt"):
        assert catalogue.recipes["mine"].missing() == path
        with pytest.raises(BackendError, match=re.escape(str(path))) as error:
            resolve(request(width=512, height=512), catalogue, fake=False)
        assert error.value.code == "model_missing"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert catalogue.recipes["mine"].missing() is None


def test_the_guides_examples_work_and_hold_the_papers_settings(own: Path, own_bases: Path) -> None:
    example, style, *published, few_steps = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    (own / "dreamshaper.toml").write_text(style, encoding="utf-8")
    (own / "quick.toml").write_text(few_steps, encoding="utf-8")
    for text in (example, *published):
        (own_bases / "dreamshaper.toml").write_text(text, encoding="utf-8")
        catalogue = read_catalogue()
        assert not catalogue.notes
        recipe = catalogue.recipes["dreamshaper"]
        assert (recipe.style.width, recipe.style.height, recipe.fps) == (512, 512, 8)
        presets = presets_for(tomllib.loads(text)["presets"])
        assert recipe.plan == presets["published"].plan
        assert catalogue.recipes["quick"].plan == presets["turbo"].plan
    assert [tomllib.loads(text)["presets"] for text in published] == ["zeroscope", "lavie", "animatelcm"]


def test_the_guide_lists_all_settings_of_a_plan() -> None:
    section = GUIDE.split("## Settings of a preset or plan\n")[1]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(field.name for field in dataclasses.fields(Plan))


def test_a_base_without_presets_takes_those_in_its_models_folder(own: Path, own_bases: Path) -> None:
    write_own(own, own_bases, BASE)
    (note,) = read_catalogue().notes
    assert "names no presets, and there is no " in note
    folder = own_bases / "t2v"
    folder.mkdir()
    (folder / "presets.toml").write_text("[published]\nsteps = 7\nrefine = []\n", encoding="utf-8")
    write_own(own, own_bases, re.sub("t2v = .*", "t2v = 't2v'", BASE))
    assert read_catalogue().recipes["mine"].plan == Plan(steps=7, refine=())
    (folder / "presets.toml").write_text("[published]\nsteps = 0\n", encoding="utf-8")
    (note,) = read_catalogue().notes
    assert "presets.toml is impossible: steps is 0; choose 1 or more." in note


@pytest.mark.parametrize(("heading", "kind"), [("All keys of a base", Base), ("All keys of a style", StyleFile)])
def test_the_guide_lists_all_keys(heading: str, kind: type[Base | StyleFile]) -> None:
    section = GUIDE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(kind.__struct_fields__)


def test_a_mark_of_byte_order_is_no_mistake(own: Path, own_bases: Path) -> None:
    """Notepad and PowerShell write one (TOML 1.0 leaves open what a reader does of it)."""
    write_own(own, own_bases, BASE + PRESET)
    for path in (own / "mine.toml", own_bases / "mine.toml"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    catalogue = read_catalogue()
    assert not catalogue.notes
    assert "mine" in catalogue.recipes


def test_a_style_in_utf_16_is_said(own: Path) -> None:
    (own / "mine.toml").write_bytes(GOOD.encode("utf-16"))
    assert any("it is stored as UTF-16 text: save it as UTF-8" in note for note in read_catalogue().notes)


def test_the_home_folder_and_variables_are_filled_in(
    own: Path, own_bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell does (POSIX, 2.6.1 and 2.6.2), in each path of a base and a style."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "user"))
    monkeypatch.setenv("MODELS", str(tmp_path / "disk"))
    base = """
title = "B"
t2i = "~/dream.safetensors"
t2v = "$MODELS/mm.ckpt"
vae = "${MODELS}/vae"
t2v_text = "~/text"
loras = "~/loras"
t2v_loras = [{ path = "$MODELS/motion.safetensors" }]
"""
    style = 'loras = [{ name = "ink" }, { path = "~/a" }]\nembeddings = ["$MODELS/e.pt"]\n'
    write_own(own, own_bases, base + PRESET, style)
    recipe = read_catalogue().recipes["mine"]
    user, disk = tmp_path / "user", tmp_path / "disk"
    sources = recipe.sources
    assert (sources.t2i, sources.t2v) == (str(user / "dream.safetensors"), str(disk / "mm.ckpt"))
    assert (sources.vae, sources.t2v_text) == (str(disk / "vae"), str(user / "text"))
    assert [lora.path for lora in sources.t2v_loras] == [str(disk / "motion.safetensors")]
    assert [lora.path for lora in sources.loras] == [str(user / "loras" / "ink"), str(user / "a")]
    assert sources.embeddings == (str(disk / "e.pt"),)
    assert recipe.lora_folders[0] == user / "loras"


def test_a_file_that_is_called_like_a_variable_is_that_file(own: Path, own_bases: Path, tmp_path: Path) -> None:
    for name in ("~x.safetensors", "$HOME.safetensors"):
        (own_bases / name).touch()
        write_own(own, own_bases, BASE.replace("a.safetensors", name) + PRESET)
        assert read_catalogue().recipes["mine"].sources.t2i == str(own_bases / name)
    write_own(own, own_bases, BASE.replace("a.s", "$NOT_SET/a.s") + PRESET)
    assert read_catalogue().recipes["mine"].sources.t2i == str(own_bases / "$NOT_SET" / "a.safetensors")
