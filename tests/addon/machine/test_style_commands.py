"""`styles` as a process of its own: what it brings, and what the panel does with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blender_addon.machine.style_commands import BaseLine, StyleCommands, StyleLora, is_own
from tests.addon.machine.test_backend_commands import say
from tests.addon.machine.test_backend_process import home
from tests.addon.machine.test_model_commands import finish, words

__all__ = ["home"]
pytestmark = pytest.mark.process

SCRIPT = """
import json, pathlib, sys
words = sys.argv[1:]
pathlib.Path(__file__).with_name("words").write_text(json.dumps(words), encoding="utf-8")
def tell(kind, **fields):
    print(json.dumps({"type": kind, **fields}, ensure_ascii=False), flush=True)
settings = {"title": "Fög", "base": "sd", "preset": "fast", "plan": {"steps": 3}, "embeddings": ["e.pt"],
            "loras": [{"path": "/l/x.pt"}, {"name": "neon", "weight": 0.5, "on": False}]}
if words[1] == "bases":
    print("a warning of some library")
    tell("BaseLine", name="sd", title="SD", presets=["published", "fast"], own=True)
elif words[1] == "remove":
    tell("Removed", files=["a"])
elif "broken" in words:
    tell("Error", code="x", message="It is broken.", next_step="Mend it.", exit_code=1)
    sys.exit(1)
else:
    tell("StyleLine", name="fog", file="f", own=True, settings=settings, problem="")
"""


@pytest.fixture
def backend(home: Path, tmp_path: Path) -> Path:
    """The folder of one that says what is needed here."""
    say(tmp_path, SCRIPT)
    return tmp_path / "backend"


def test_a_style_is_shown_with_the_bases_that_there_are(backend: Path) -> None:
    styles = StyleCommands()
    styles.show("-fog")
    assert styles.running == "bases"
    styles.show("another")  # one command at a time
    finish(styles)
    assert words(backend) == ["styles", "show", "--json", "--", "-fog"]
    assert styles.bases == (BaseLine("sd", "SD", ("published", "fast")),)
    assert styles.shown is not None
    assert styles.shown.settings.title == "Fög"
    assert styles.shown.settings.prompt == "{prompt}", "what the file leaves out"
    assert styles.shown.settings.loras == (
        StyleLora(path="/l/x.pt"),
        StyleLora(name="neon", weight=0.5, on=False),
    )
    assert (styles.made, styles.written) == (0, None)
    styles.show("-fog")
    finish(styles)
    assert len(styles.bases) == 1, "each time anew"


def test_what_is_different_goes_as_one_object(backend: Path) -> None:
    styles = StyleCommands()
    styles.copy("plain", "Fög", {"preset": "fast"})
    finish(styles)
    command, content = words(backend)[:4], json.loads(words(backend)[4])
    assert command == ["styles", "copy", "--json", "--content"]
    assert content == {"preset": "fast"}
    assert words(backend)[5:] == ["--", "plain", "Fög"]
    assert styles.written is not None
    assert styles.written.name == "fog"
    assert styles.made == 1
    styles.copy("plain", "Fog", {})
    finish(styles)
    assert words(backend) == ["styles", "copy", "--json", "--", "plain", "Fog"]


@pytest.mark.parametrize(
    ("name", "command"),
    [("remove", ["styles", "remove", "--json", "--", "fog"]),
     ("picture", ["styles", "thumbnail", "--json", "--overwrite", "--", "fog"])],
)  # fmt: skip
def test_deleting_and_painting_choose_nothing(backend: Path, name: str, command: list[str]) -> None:
    styles = StyleCommands()
    getattr(styles, name)("fog")
    finish(styles)
    assert words(backend) == command
    assert (styles.made, styles.written, styles.problem) == (1, None, None)


def test_what_fails_says_why_and_what_came_before_is_not_taken_for_its_own(backend: Path) -> None:
    styles = StyleCommands()
    styles.edit("fog", {"title": "x"})
    finish(styles)
    styles.written = None
    styles.edit("broken", {"title": "x"})
    finish(styles)
    assert styles.problem is not None
    assert (styles.problem.sentence, styles.problem.next_step) == ("It is broken.", "Mend it.")
    assert (styles.made, styles.written) == (1, None)


def test_a_style_is_ones_own_if_its_file_is_in_the_settings_folder(home: Path) -> None:
    from shared_protocol.machine import places

    file = places.config_folder() / "styles" / "fog.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    assert not is_own("fog")
    file.touch()
    assert is_own("fog")
    assert not is_own("")
