"""A backend whose folder of styles is full of files that it should not have to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared_protocol.messages import MOST_NOTES, Done, Failed
from tests.backend.harness import greet, run, running

pytestmark = pytest.mark.timeout(300)

GOOD = 'title = "T"\nbase = "embedded"\npreset = "published"\nexample_prompt = "a cat"\n'
KEY = f"{'k' * 3000} = 1\n"
PRESETS = 'title = "B"\nt2i = "a"\nt2v = "b"\n[presets.published]\n[presets.{name}]\n'


@pytest.fixture
def styles(home: Path) -> Path:
    folder = home / "config" / "styles"
    folder.mkdir(parents=True)
    (home / "config" / "bases").mkdir()
    for base, name in (("long", "p" * 65), ("empty", '""')):
        (home / "config" / "bases" / f"{base}.toml").write_text(PRESETS.format(name=name), encoding="utf-8")
        (folder / f"{base}.toml").write_text(GOOD.replace("embedded", base), encoding="utf-8")
    (folder / "key.toml").write_text(KEY + GOOD, encoding="utf-8")
    return folder


def test_a_backend_with_12_000_broken_styles_answers(styles: Path) -> None:
    for number in range(12_000):
        (styles / f"s{number:05}.toml").write_text(KEY, encoding="utf-8")
    with running() as backend, backend.client() as client:
        welcome = greet(client)
        assert len(welcome.notes) == MOST_NOTES
        assert welcome.notes[-1] == f"There are {12_003 - MOST_NOTES + 1} more such notes."
        assert client.status().notes == welcome.notes
        assert isinstance(client.end_of(client.submit()), Done)
        assert run("status").returncode == 0
        assert run("stop").returncode == 0
        assert backend.process.wait(60) == 0


@pytest.mark.parametrize("count", [1_500, pytest.param(12_000, marks=pytest.mark.long)])
def test_a_backend_with_more_good_styles_than_a_message_takes_answers(styles: Path, count: int) -> None:
    for number in range(count):
        (styles / f"s{number:05}.toml").write_text(GOOD, encoding="utf-8")
    with running() as backend, backend.client() as client:
        welcome = greet(client)
        assert 500 < len(welcome.styles) < count
        assert "styles have no room in the list" in welcome.notes[0]
        last = f"s{count - 1:05}"
        assert last not in {style.name for style in welcome.styles}
        assert isinstance(client.end_of(client.submit(style=last)), Done), "it can be named"
        failed = client.end_of(client.submit(style="nowhere"))
        assert isinstance(failed, Failed)
        assert "more" in failed.next_step
        assert client.status().notes == welcome.notes
        assert backend.process.poll() is None
