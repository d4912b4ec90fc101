"""What changes on the disk is read again before the next clip, and nothing else is."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from backend.styles import catalogue, remembered
from backend.styles.catalogue import PICTURE, Library
from backend.styles.recipes import PNG
from tests.true_shapes.random_weights import write

STYLE = 'title = "{title}"\nbase = "{base}"\npreset = "published"\nexample_prompt = "a cat"\n'
BASE = 'title = "B"\nt2i = "{t2i}"\nt2v = "b"\n[presets.published]\nsteps = {steps}\nrefine = []\n'


@pytest.fixture
def config(home: Path) -> Path:
    for name in ("styles", "bases", "loras"):
        (home / "config" / name).mkdir(parents=True)
    return home / "config"


@pytest.fixture(params=["all", "asked"])
def every_look(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look is at all files; or, as with very many files, at the folders and what was asked for."""
    monkeypatch.setattr(catalogue, "REST", 0 if request.param == "all" else 1e9)


def put(file: Path, text: str | bytes) -> None:
    """Write a file, and let so much time go by that its next change has another time."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    settle()


def settle() -> None:
    time.sleep(2 * remembered.SETTLED_NS / 1e9)


def style(title: str = "T", base: str = "embedded") -> str:
    return STYLE.format(title=title, base=base)


def test_a_file_that_changes_in_place_is_read_again(config: Path, every_look: None) -> None:
    file = config / "styles" / "mine.toml"
    put(file, style("One"))
    library = Library()
    assert library.catalogue.recipes["mine"].style.title == "One"
    put(file, style("Two"))  # the folder's own time stays as it is, and so does the size
    assert library.look("mine")
    assert library.catalogue.recipes["mine"].style.title == "Two"


def test_files_that_come_and_go_are_heard_of(config: Path, every_look: None) -> None:
    settle()
    library = Library()
    put(config / "styles" / "fresh.toml", style())
    assert library.look()
    assert "fresh" in library.catalogue.recipes
    (config / "styles" / "fresh.toml").unlink()
    settle()
    assert library.look()
    assert "fresh" not in library.catalogue.recipes


def test_a_base_that_changes_comes_or_goes_changes_its_styles(config: Path, every_look: None) -> None:
    put(config / "styles" / "mine.toml", style(base="b"))
    library = Library()
    assert library.catalogue.skipped["mine"] == 'there is no base "b"'
    base = config / "bases" / "b.toml"
    for steps in (3, 4):
        put(base, BASE.format(t2i="a", steps=steps))
        assert library.look("mine")
        assert library.catalogue.recipes["mine"].plan.steps == steps
        assert not library.catalogue.notes
    base.unlink()
    settle()
    assert library.look("mine")
    assert "mine" not in library.catalogue.recipes


def test_presets_in_a_models_folder_are_read_again(config: Path, every_look: None) -> None:
    model = config / "bases" / "b"
    model.mkdir()
    put(config / "bases" / "b.toml", 'title = "B"\nt2i = "a"\nt2v = "b"\n')
    put(config / "styles" / "mine.toml", style(base="b"))
    library = Library()
    assert "mine" in library.catalogue.skipped
    put(model / "presets.toml", "[published]\nsteps = 7\nrefine = []\n")
    assert library.look("mine")
    assert library.catalogue.recipes["mine"].plan.steps == 7


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("scheduler/scheduler_config.json", '{"_class_name": "LCMScheduler"}'),
        ("unet/config.json", '{"time_cond_proj_dim": 256}'),
    ],
)
def test_what_a_models_folder_says_of_itself_is_read_again(
    config: Path, every_look: None, part: str, content: str
) -> None:
    put(config / "bases" / "b.toml", 'title = "B"\nt2i = "m"\nt2v = "/m/x.ckpt"\npresets = "animatediff"\n')
    put(config / "styles" / "mine.toml", style(base="b").replace("published", "turbo"))
    library = Library()
    assert "mine" in library.catalogue.skipped
    file = config / "bases" / "m" / part
    file.parent.mkdir(parents=True)
    put(file, content)
    assert library.look("mine")
    assert library.catalogue.recipes["mine"].style.presets == ("turbo",)
    put(file, "{}")  # in place: its folder stays as it is
    assert library.look("mine")
    assert "mine" in library.catalogue.skipped


def test_a_picture_is_shown_as_soon_as_it_is_there(config: Path) -> None:
    put(config / "styles" / "mine.toml", style())
    library = Library()
    put(config / "styles" / "mine.png", PNG + b"1")
    assert library.look()
    first = library.catalogue.recipes["mine"].style.thumbnail
    assert first
    put(config / "styles" / "mine.png", PNG + b"2")
    library._rested = 0.0
    assert library.look()
    assert library.catalogue.recipes["mine"].style.thumbnail not in ("", first)
    (config / "styles" / "mine.png").unlink()
    assert library.look()
    assert library.catalogue.recipes["mine"].style.thumbnail == ""


def test_a_lora_is_listed_as_soon_as_it_is_there(config: Path, every_look: None) -> None:
    put(config / "styles" / "mine.toml", style())
    library = Library()

    def names() -> set[str]:
        return {lora.name for lora in library.catalogue.recipes["mine"].style.loras if not lora.own}

    before = names()
    write("lora_kohya", config / "loras" / "ink.safetensors", "tiny", rank=2)
    assert library.look("mine")
    assert names() - before == {"ink.safetensors"}
    (config / "loras" / "deeper").mkdir()
    settle()
    library.look("mine")
    (config / "loras" / "ink.safetensors").rename(config / "loras" / "deeper" / "ink.safetensors")
    assert library.look("mine")
    assert names() - before == {"deeper/ink.safetensors"}


def test_nothing_is_read_where_nothing_has_changed(config: Path, every_look: None) -> None:
    put(config / "bases" / "b.toml", BASE.format(t2i="a", steps=3))
    for number in range(5):
        put(config / "styles" / f"mine_{number}.toml", style(base="b"))
    put(config / "styles" / "broken.toml", "title = ")
    library = Library()
    before, reads = library.catalogue, library.reads
    for name in ("mine_1", "broken", "nowhere", "../x", ""):
        assert not library.look(name)
    assert library.catalogue is before
    assert library.reads == reads
    put(config / "styles" / "mine_3.toml", style("New", base="b"))
    assert library.look("mine_3")
    assert library.reads == reads + 1, "the others, their base and the lists of LoRAs are known"


def test_a_file_that_changes_twice_within_a_tick_is_read_anew(config: Path) -> None:
    """Its second change may have the time of the first."""
    file = config / "styles" / "mine.toml"
    put(file, style("One"))
    library = Library()
    file.write_text(style("Two"), encoding="utf-8")
    library._rested = 0.0
    library.look("mine")
    status = file.stat()
    file.write_text(style("Six"), encoding="utf-8")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    library.look("mine")
    assert library.catalogue.recipes["mine"].style.title == "Six"


def test_of_very_many_files_few_are_looked_at(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(400):
        (config / "styles" / f"s{number}.toml").write_text(style(), encoding="utf-8")
    settle()
    monkeypatch.setattr(catalogue, "REST", 1e9)
    library = Library()
    looked = []
    stamp = remembered._stamp
    monkeypatch.setattr(remembered, "_stamp", lambda path: looked.append(path) or stamp(path))
    for _ in range(3):
        assert not library.look("s7")
    assert 3 <= len(looked) / 3 <= 30, "its own files, those of its base, and the folders"


def test_why_a_style_is_skipped_is_known_by_its_name(config: Path) -> None:
    put(config / "styles" / "mine.toml", style().replace("base", "bass"))
    put(config / "styles" / "plain.toml", "title = ")
    found = Library().catalogue
    assert found.skipped == {"mine": 'styles/mine.toml has a mistake: there is no setting "bass"; "base" may be meant'}
    assert "plain" in found.recipes, "ours is there"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM, errno.EMFILE])
@pytest.mark.parametrize(
    ("call", "fails_at"),
    [
        ((Path, "read_bytes"), "styles/mine.toml"),
        ((Path, "read_bytes"), "bases/b.toml"),
        ((Path, "read_bytes"), "styles/mine.png"),
        ((os, "listdir"), "styles"),
        ((Path, "iterdir"), "loras"),
    ],
)
def test_what_a_shortage_hid_is_there_once_it_has_passed(
    call: tuple[object, str],
    fails_at: str,
    number: int,
    config: Path,
    every_look: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The files are as they were, so nothing but the shortage's end shows that they are to be read again."""
    (config / "bases" / "b.toml").write_text(BASE.format(t2i="a", steps=5))
    (config / "styles" / "mine.toml").write_text(style(base="b"))
    (config / "styles" / "mine.png").write_bytes(PNG)
    write("lora_kohya", config / "loras" / "ink.safetensors", "tiny", rank=2)
    settle()
    whole = Library()
    name = call[1]
    real = getattr(*call)

    def failing(path: Path | str, *more: object) -> object:
        if Path(path) == config / fails_at:
            raise OSError(number, os.strerror(number), str(path))
        return real(path, *more)

    with monkeypatch.context() as short:
        short.setattr(call[0], name, failing)
        library = Library()
    assert library.catalogue.recipes != whole.catalogue.recipes
    if fails_at.endswith(PICTURE):
        library._rested = 0.0  # pictures are looked at with all files alone
    library.look("mine")
    assert library.catalogue.recipes == whole.catalogue.recipes
