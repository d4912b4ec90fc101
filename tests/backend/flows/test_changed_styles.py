"""Styles that are changed, added or broken while a backend runs are the next clip's, and all clients hear of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared_protocol.messages import Done, Failed, Style, Styles
from tests.backend.harness import Conversation, Running, greet, run

GOOD = 'title = "{title}"\nbase = "embedded"\npreset = "{preset}"\nexample_prompt = "a cat"\n'


@pytest.fixture
def styles(home: Path) -> Path:
    folder = home / "config" / "styles"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(GOOD.format(title="One", preset="published"), encoding="utf-8")
    return folder


def named(styles: tuple[Style, ...], name: str) -> Style | None:
    return next((style for style in styles if style.name == name), None)


def preset_of(client: Conversation, style: str, home: Path) -> str:
    """Which preset a clip of this style was made with."""
    done = client.end_of(client.submit(style=style))
    assert isinstance(done, Done)
    record = json.loads((Path(done.folder) / "result.json").read_bytes())
    preset = record["work"]["preset"]
    assert isinstance(preset, str)
    return preset


def test_the_next_clip_is_made_as_the_file_says_now(home: Path, styles: Path, backend: Running) -> None:
    with backend.client() as client, backend.client() as other:
        greet(client)
        greet(other)
        assert preset_of(client, "mine", home) == "published"
        (styles / "mine.toml").write_text(GOOD.format(title="Two", preset="draft"), encoding="utf-8")
        assert preset_of(client, "mine", home) == "draft"
        for each in (client, other):
            told = next((m for m, _ in each.heard if isinstance(m, Styles)), None) or each.expect(Styles)
            assert (mine := named(told.styles, "mine")) is not None
            assert (mine.title, mine.preset) == ("Two", "draft")


def test_a_new_style_can_be_used_and_one_that_is_gone_cannot(styles: Path, backend: Running) -> None:
    with backend.client() as client:
        greet(client)
        (styles / "fresh.toml").write_text(GOOD.format(title="F", preset="draft"), encoding="utf-8")
        assert isinstance(client.end_of(client.submit(style="fresh")), Done)
        (styles / "fresh.toml").unlink()
        failed = client.end_of(client.submit(style="fresh"))
        assert isinstance(failed, Failed)
        assert failed.code == "unknown_style"
        with backend.client() as late:
            assert named(greet(late).styles, "fresh") is None


def test_a_style_that_is_broken_says_why_where_it_is_asked_for(styles: Path, backend: Running) -> None:
    with backend.client() as client:
        greet(client)
        text = GOOD.format(title="One", preset="published") + 'loras = ["ink.safetensors"]\n'
        (styles / "mine.toml").write_text(text, encoding="utf-8")
        failed = client.end_of(client.submit(style="mine"))
        assert isinstance(failed, Failed)
        assert failed.code == "unknown_style"
        assert failed.message == (
            'There is no style "mine": styles/mine.toml has a mistake: entry 1 of "loras" must be a table of settings, '
            "not text."
        )
        assert failed.next_step.startswith("Mend that file, or choose one of these: plain, ")
        (note,) = client.status().notes
        assert "styles/mine.toml has a mistake" in note
        done = run("generate", "a cat", "--style", "mine", "--out", str(styles.parent / "out"))
        assert done.returncode == 1
        assert done.stderr.count("has a mistake") == 1
        (styles / "mine.toml").write_text(GOOD.format(title="One", preset="published"), encoding="utf-8")
        assert isinstance(client.end_of(client.submit(style="mine")), Done)
        assert client.status().notes == ()


def test_each_note_is_printed_once(styles: Path) -> None:
    (styles / "mine.toml").write_text("title = ", encoding="utf-8")
    for command in (("doctor",), ("styles", "list")):
        done = run(*command)
        assert (done.stdout + done.stderr).count("has a mistake") == 1, done


def test_of_very_many_styles_the_one_that_is_asked_for_is_as_its_file_says(
    home: Path, styles: Path, backend: Running
) -> None:
    for number in range(3_000):
        (styles / f"s{number:05}.toml").write_text(GOOD.format(title="T", preset="draft"), encoding="utf-8")
    with backend.client() as client:
        greet(client)
        for preset in ("published", "draft", "fast"):
            (styles / "s02999.toml").write_text(GOOD.format(title="T", preset=preset), encoding="utf-8")
            assert preset_of(client, "s02999", home) == preset
