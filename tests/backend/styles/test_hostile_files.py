"""Files that no style should be: each costs itself alone, and a message can tell of all of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.server.requests import resolve
from backend.styles.catalogue import Catalogue, read_catalogue
from backend.styles.files import FILE_BYTES
from backend.styles.recipes import MOST_STEPS
from elevator.presets import FILE_NAME
from shared_protocol import wire
from shared_protocol.messages import MOST_NOTES, MOST_PRESETS, Generate, Style, Welcome

GOOD = 'title = "T"\nbase = "embedded"\npreset = "published"\nexample_prompt = "a cat"\n'
BASE = 'title = "B"\nt2i = "a.safetensors"\nt2v = "/m/b.ckpt"\n'
OWN = GOOD.replace("embedded", "mine")
HUGE = "9" * 5000
DIGITS = f"0x{'f' * 6000}"
posix = pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")


@pytest.fixture
def own(home: Path) -> Path:
    """The user's styles; the bases lie beside."""
    folder = home / "config" / "styles"
    folder.mkdir(parents=True)
    (home / "config" / "bases").mkdir()
    return folder


def welcome(catalogue: Catalogue) -> Welcome:
    """As it arrives: what the protocol does not allow is not read."""
    told = Welcome(
        major=1,
        minor=0,
        backend="0",
        session="s",
        device="cpu",
        styles=catalogue.styles,
        notes=catalogue.notes,
    )
    heard = wire.decode_event(wire.encode(told)).message
    assert isinstance(heard, Welcome)
    return heard


def said_of(own: Path, style: str, base: str = "", presets: str = "") -> str:
    """The one note about such a style."""
    (own / "mine.toml").write_text(style, encoding="utf-8")
    if base:
        (own.parent / "bases" / "mine.toml").write_text(base, encoding="utf-8")
    if presets:
        (own.parent / "bases" / "b").mkdir(exist_ok=True)
        (own.parent / "bases" / "b" / FILE_NAME).write_text(presets, encoding="utf-8")
    heard = welcome(read_catalogue())
    assert "plain" in {style.name for style in heard.styles}
    assert "mine" not in {style.name for style in heard.styles}
    (note,) = heard.notes
    assert "mine.toml" in note
    return note


@pytest.mark.parametrize(
    "style",
    [
        f"{'k' * 3000} = 1\n{GOOD}",
        f'"{chr(92)}u0007{chr(92)}n{chr(92)}u202E" = 1\n{GOOD}',
        f"a = {HUGE}\n{GOOD}",
        f"a = {'[' * 5000}{']' * 5000}\n{GOOD}",
        GOOD + f"[plan]\nsteps = {MOST_STEPS + 1}\n",
        GOOD + f"[plan]\nsteps = {DIGITS}\n",
        GOOD + f"[plan]\nsteps = '{'s' * 3000}'\n",
        GOOD + f"[plan]\nalpha = {DIGITS}\n",
        GOOD + f"[plan]\nchunk = {DIGITS}\n",
        GOOD + "[plan]\nguidance = nan\n",
        GOOD + f"[plan]\nway_back = '{'w' * 3000}'\n",
        GOOD + f"[plan]\nlowpass = {{ d_s = {DIGITS} }}\n",
        GOOD + 'embeddings = ["a\\u0000b"]\n',
        GOOD + f'embeddings = ["{"e" * 5000}"]\n',
        GOOD + "".join(f"[[loras]]\nname = 'l{number}'\n" for number in range(300)),
        GOOD + "[[loras]]\nname = 'l'\nweight = nan\n",
        GOOD + "[[loras]]\nname = 'l'\nweight = 1e999\n",
        GOOD.replace('"T"', f'"{"T" * 65}"'),
        GOOD + "#" * FILE_BYTES,
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_a_style_that_no_message_can_tell_of_is_skipped(own: Path, style: str) -> None:
    assert len(said_of(own, style)) <= 2000


@pytest.mark.parametrize(
    "base",
    [
        BASE + f"[presets.{'p' * 65}]\n",
        BASE + '[presets.""]\n',
        BASE + "".join(f"[presets.p{number}]\n" for number in range(MOST_PRESETS + 1)),
        BASE + "fps = 1e-6\n[presets.published]\n",
        BASE + "fps = nan\n[presets.published]\n",
        BASE + "fps = inf\n[presets.published]\n",
        BASE + f"[presets.published]\nsteps = {MOST_STEPS + 1}\n",
        BASE + "[presets.published]\neta = 1e999\n",
        BASE.replace("/m/b.ckpt", "\\u0000") + "[presets.published]\n",
        BASE.replace("/m/b.ckpt", "b" * 300),
        BASE + f'loras = "{"/l" * 3000}"\n[presets.published]\n',
    ],
    ids=lambda text: ascii(text)[-40:],
)
def test_a_base_that_no_message_can_tell_of_costs_its_styles(own: Path, base: str) -> None:
    assert len(said_of(own, OWN, base)) <= 2000


@pytest.mark.parametrize(
    "presets",
    [
        f"[{'p' * 65}]\n[published]\n",
        '[""]\n[published]\n',
        "".join(f"[p{number}]\n" for number in range(MOST_PRESETS)) + "[published]\n",
        f"a = {HUGE}\n",
        f"a = {'[' * 5000}{']' * 5000}\n",
        f"[published]\nalpha = {DIGITS}\n",
        f"[published]\nsteps = {DIGITS}\n",
        f"[published]\nsteps = {MOST_STEPS + 1}\n",
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_presets_in_a_models_folder_that_no_message_can_tell_of_cost_their_styles(own: Path, presets: str) -> None:
    assert len(said_of(own, OWN, BASE.replace("/m/b.ckpt", "b"), presets)) <= 2000


def test_the_longest_and_most_that_may_be_are_taken(own: Path) -> None:
    names = [f"{number:064}" for number in range(MOST_PRESETS - 1)]
    base = BASE + f"fps = 0.01\n[presets.published]\nsteps = {MOST_STEPS}\n"
    base += "".join(f"[presets.{name}]\n" for name in names)
    (own.parent / "bases" / "mine.toml").write_text(base, encoding="utf-8")
    text = OWN.replace('"T"', f'"{"T" * 64}"') + f'description = "{chr(92)}u0001{"é" * 1999}"\n'
    (own / f"{'m' * 64}.toml").write_text(text, encoding="utf-8")
    heard = welcome(read_catalogue())
    (style,) = (style for style in heard.styles if style.name == "m" * 64)
    assert (len(style.presets), style.fps_numerator, style.fps_denominator) == (MOST_PRESETS, 1, 100)
    assert not heard.notes


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such names")
def test_names_that_are_no_unicode_are_said_as_far_as_they_can(own: Path, home: Path) -> None:
    (own / os.fsdecode(b"caf\xe9.toml")).write_text(GOOD, encoding="utf-8")
    folder = home / "config" / "loras"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.safetensors")).touch()
    (folder / "good\n.safetensors").touch()
    (folder / "good.safetensors").touch()
    heard = welcome(read_catalogue())
    assert "caf\N{REPLACEMENT CHARACTER}.toml" in heard.notes[0]
    (plain,) = (style for style in heard.styles if style.name == "plain")
    assert "good.safetensors" in {lora.name for lora in plain.loras}
    assert not [lora for lora in plain.loras if "\n" in lora.name or not lora.name.isprintable()]


@posix
@pytest.mark.timeout(60)
def test_a_pipe_is_not_read(own: Path) -> None:
    os.mkfifo(own / "mine.toml")
    (own / "other.toml").write_text(OWN, encoding="utf-8")
    os.mkfifo(own.parent / "bases" / "mine.toml")
    assert len(welcome(read_catalogue()).notes) == 2


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_looked_into_costs_its_styles(own: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "t2v").mkdir(parents=True)
    closed.chmod(0)
    try:
        assert said_of(own, OWN, BASE.replace("/m/b.ckpt", str(closed / "t2v")))
    finally:
        closed.chmod(0o700)


def test_of_many_broken_files_some_are_named_and_all_are_counted(own: Path) -> None:
    for number in range(500):
        (own / f"s{number:03}.toml").write_text(f"{'k' * 3000} = {number}\n", encoding="utf-8")
    heard = welcome(read_catalogue())
    assert len(heard.notes) == MOST_NOTES
    assert heard.notes[-1] == f"There are {500 - MOST_NOTES + 1} more such notes."


def test_styles_that_have_no_room_are_counted_and_can_be_named(own: Path) -> None:
    text = GOOD + f'description = "{"é" * 1900}"\n'
    for number in range(300):
        (own / f"s{number:03}.toml").write_text(text, encoding="utf-8")
    catalogue = read_catalogue()
    heard = welcome(catalogue)
    left_out = len(catalogue.recipes) - len(heard.styles)
    assert 100 < left_out < 300
    assert heard.styles[0].name == "plain"
    assert heard.notes[0].startswith(f"{left_out} of {len(catalogue.recipes)} styles have no room")
    last = tuple(catalogue.recipes)[-1]
    assert last not in {style.name for style in heard.styles}
    request = Generate(job="0" * 32, prompt="a cat", style=last, frames=1, width=64, height=64, seed=1)
    assert resolve(request, catalogue, fake=True)[0].style == last


KEYS = [*Style.__struct_fields__, "negative_prompt", "plan", "loras_on_t2v", "k" * 70, "", "é"]
VALUES = st.recursive(
    st.one_of(
        st.integers(-(2**70), 2**70),
        st.sampled_from(["nan", "inf", "-inf", "1e308", "0.1", "true", "1979-05-27", "published", "embedded"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)


def toml(value: object) -> str:
    """A value as TOML; words that are numbers there stay numbers."""
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{quoted(key)} = {toml(each)}' for key, each in value.items())}}}"
    if isinstance(value, str) and value in ("nan", "inf", "-inf", "1e308", "0.1", "true", "1979-05-27"):
        return value
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    escaped = msgspec.json.encode(text).decode()
    return escaped.replace("\x7f", "\\u007f")


FIELDS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4)


@given(style=FIELDS, base=FIELDS, presets=st.dictionaries(st.sampled_from(["published", "", "p" * 65]), FIELDS))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_files_say_a_message_can_tell_of_it(
    own: Path, style: dict[str, object], base: dict[str, object], presets: dict[str, dict[str, object]]
) -> None:
    """Random values in the places of right ones: all is read or skipped, and all of it can be sent."""
    right = {"title": "T", "base": "mine", "preset": "published", "example_prompt": "a cat"}
    lines = [f"{quoted(key)} = {toml(value)}\n" for key, value in {**right, **style}.items()]
    (own / "mine.toml").write_text("".join(lines), encoding="utf-8")
    right = {"title": "B", "t2i": "a", "t2v": "b"}
    lines = [f"{quoted(key)} = {toml(value)}\n" for key, value in {**right, **base, "presets": presets}.items()]
    (own.parent / "bases" / "mine.toml").write_text("".join(lines), encoding="utf-8")
    heard = welcome(read_catalogue())
    assert "plain" in {style.name for style in heard.styles}
    assert ("mine" in {style.name for style in heard.styles}) != bool(heard.notes)
