"""The demo repeated, stopped, and asked for what cannot be. Test pictures instead of models: seconds, not minutes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from blender_addon.clip.ticket import decode

from .conftest import DEMO_HOME, command, environment, run_demo
from .test_demo import look_into


@pytest.fixture(scope="module")
def place(folder: Path, blender_python: Path) -> Path:
    """A folder that holds an earlier demo."""
    place = folder / "again"
    place.mkdir()
    first = run_demo(place, "an old disc", "--fake", "--frames", "6")
    assert first.code == 0, first.output
    return place


@pytest.fixture(autouse=True)
def earlier_one_stays(place: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever goes wrong, the earlier demo is not harmed and nothing half-finished lies beside it."""
    before = (place / "demo" / "demo.blend").read_bytes()
    yield
    if "replaces" not in request.node.name:
        assert (place / "demo" / "demo.blend").read_bytes() == before
    assert sorted(path.name for path in place.iterdir()) == ["demo", "home"]


def test_second_demo_replaces_the_first(place: Path) -> None:
    again = run_demo(place, "ein grüner Kürbis", "--fake", "--frames", "5", "--size", "96", "--seed", "3")
    assert again.code == 0, again.output
    (frames,) = (each for each in (place / "demo" / "elevator").iterdir() if each.is_dir())
    assert len(list(frames.glob("*.png"))) == 5
    assert "ein grüner Kürbis" in again.output
    assert "Installing packages" not in again.output
    assert len(list((DEMO_HOME / "data" / "results").iterdir())) == 1, "each demo begins with an empty queue"


def test_all_styles_one_after_another_replaces_it_too(place: Path, blender_python: Path) -> None:
    made = run_demo(place, "a disc", "--fake", "--frames", "4", "--style", "all")
    assert made.code == 0, made.output
    assert "4 image strips" in made.output
    strips = look_into(place / "demo" / "demo.blend", blender_python)["strips"]
    by_time = sorted(strips, key=lambda strip: strip["span"])
    tickets = [decode(strip["settings"]["elevator_clip"]) for strip in by_time]
    assert [ticket.request.style for ticket in tickets if ticket] == ["plain", "neon", "pixel_art", "sketch"]
    assert [strip["span"] for strip in by_time] == [[1, 5], [5, 9], [9, 13], [13, 17]]
    assert all(strip["found"] for strip in strips)


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("The backend starts", signal.SIGTERM),
        ("Making the clip", signal.SIGINT),
        ("Painting, ", signal.SIGINT),
        *(pytest.param(moment, signal.SIGTERM, marks=pytest.mark.long) for moment in ("Making the clip", "Painting, ")),
    ],
)
def test_stopping_it_leaves_nothing(place: Path, moment: str, number: signal.Signals) -> None:
    env = {**environment(place), "ELEVATOR_FAKE_STEP_SECONDS": "1"}
    with subprocess.Popen(
        command(place, "a disc", "--fake"), env=env, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if moment in line:
                break
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert "Stopped. Nothing keeps running" in rest
    assert not (DEMO_HOME / "state" / "connection.json").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a disc", "--style", "nothing"], "no style"),
        (["a disc", "--frames", "5000"], "5000 frames"),
        (["a disc", "--size", "7"], "7 pixels"),
        (["a disc", "--size", "70"], "70"),
        ([" "], "prompt is empty"),
        (["fail:crash"], ""),
        (["fail:out_of_memory"], "memory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_said_in_a_sentence(place: Path, arguments: list[str], sentence: str) -> None:
    refused = run_demo(place, *arguments, "--fake")
    assert refused.code == 1, refused.output
    last = refused.output.strip().splitlines()[-1]
    assert last.startswith("install.py: ")
    assert sentence in last
    assert "Traceback" not in refused.output


def test_clip_with_unknown_words_replaces_it_too_and_names_them(place: Path) -> None:
    noted = run_demo(place, "a disc unknown:blimp", "--fake", "--frames", "2")
    assert noted.code == 0, noted.output
    assert "Note: " in noted.output
    assert "blimp" in noted.output


def test_folder_that_cannot_be_is_said(place: Path) -> None:
    file = place / "demo" / "demo.mp4"
    refused = run_demo(file, "a disc", "--fake")
    assert refused.code == 1
    assert refused.output.strip().splitlines()[-1].startswith("install.py: ")
    assert "Traceback" not in refused.output
