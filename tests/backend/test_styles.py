"""Styles and bases: files that are right are listed, files that are wrong are skipped with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.failures import TABLE, BackendError
from backend.requests import resolve
from backend.styles import BASES, STYLES, read_catalogue
from shared_protocol.messages import FailureCode, Generate

GOOD = 'title = "T"\nbase = "embedded"\npreset = "published"\nexample_prompt = "a cat"\n'
JOB = "0" * 32


def request(**fields: object) -> Generate:
    values = {"prompt": "a cat", "style": "mine", "frames": 16, "width": 64, "height": 64, "seed": 1, **fields}
    return Generate(job=JOB, **values)  # type: ignore[arg-type]


@pytest.fixture
def own(home: Path) -> Path:
    folder = home / "config" / "styles"
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


def test_a_users_style_is_found_and_may_replace_ours(own: Path) -> None:
    (own / "mine.toml").write_text(GOOD + '[[loras]]\npath = "l.safetensors"\nweight = 0.5\n', encoding="utf-8")
    (own / "plain.toml").write_text(GOOD.replace('"T"', '"My plain"'), encoding="utf-8")
    catalogue = read_catalogue()
    assert not catalogue.notes
    assert catalogue.recipes["plain"].style.title == "My plain"
    (lora,) = catalogue.recipes["mine"].loras
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
    assert order.plan["guidance"] == 5.0
    assert order.plan["steps"] == read_catalogue().recipes["plain"].plan["steps"]
    assert not warnings


def test_braces_in_a_prompt_are_just_braces(own: Path) -> None:
    (own / "mine.toml").write_text(GOOD + 'prompt = "{prompt}, {ink}"\n', encoding="utf-8")
    order, _ = resolve(request(prompt="{0} {prompt} {x!r}"), read_catalogue(), fake=True)
    assert order.prompt == "{0} {prompt} {x!r}, {ink}"


def test_words_that_the_models_do_not_know_are_named(own: Path, tmp_path: Path) -> None:
    import dataclasses

    (own / "mine.toml").write_text(GOOD, encoding="utf-8")
    catalogue = read_catalogue()
    (tmp_path / "known_words.txt").write_text("a\ncat\n", encoding="utf-8")
    recipe = dataclasses.replace(catalogue.recipes["mine"], t2i=tmp_path, t2v=tmp_path)
    taught = dataclasses.replace(catalogue, recipes={"mine": recipe})
    _, (warning,) = resolve(request(prompt="a purple cat"), taught, fake=False)
    assert "“purple”" in warning
    assert "cat" not in warning
    assert resolve(request(prompt="a cat"), taught, fake=False)[1] == ()


def test_the_table_has_a_row_for_every_code_on_the_wire() -> None:
    codes = set(FailureCode.__args__)  # type: ignore[attr-defined]
    assert codes <= set(TABLE)


@pytest.mark.parametrize("code", TABLE)
def test_every_row_is_a_sentence_and_a_next_step(code: str) -> None:
    details = dict.fromkeys(
        ["detail", "example", "style", "styles", "width", "height", "least", "most", "step", "frames", "folder", "log"],
        "x.",
    )
    error = BackendError(code, **details)
    for text in (error.sentence, error.next_step):
        assert text[0].isupper() or text[0] == "x"
        assert text.endswith((".", '"'))
    assert 1 <= error.exit_code <= 130
