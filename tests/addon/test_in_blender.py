"""The extension in real Blenders, installed from its zip, talking to a real backend with the fake generator."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.cli import diagnosis
from shared_protocol.machine.processes import is_running
from tests.addon.blenders import (
    BLENDER,
    LTS_BLENDER,
    NEWEST_BLENDER,
    OLD_BLENDER,
    ROOT,
    Lab,
    Outcome,
    checks_of,
    may_mount,
)

SMOKE = {
    "making": [
        "check_wheels_are_the_extensions",
        "check_strip_is_as_asked",
        "check_settings_stay_on_the_strip",
        "check_lowest_channel_above_all_is_taken",
        "check_undo_is_one_step",
        "check_save_and_reopen",
        "check_rendered_pixels_are_the_frames",
        "check_generate_does_not_block",
        "check_unsaved_projects_keep_frames_too",
    ],
    "arriving": [
        "check_strip_is_there_at_once",
        "check_scenes_frame_rate_is_kept",
        "check_strip_goes_above_the_picture",
        "check_strip_follows_the_edit",
        "check_arrival_leaves_undo_redo_and_selection",
        "check_taking_the_strip_away_cancels",
        "check_undo_at_once_keeps_the_job",
        "check_reverted_file_gets_its_clip",
        "check_meta_strip_that_is_open_gets_the_strip",
        "check_first_save_takes_the_clips_along",
    ],
    "trouble": ["check_bad_wishes_are_refused", "check_cancel", "check_missing_backend_shows_the_command"],
    "keeping": ["check_killed_backend_gives_the_clip_all_the_same"],
    "looking": [
        "check_a_movies_frame_is_found_in_trimmed_and_slowed_strips",
        "check_panels_ask_of_blender_what_it_has",
        "check_a_preview_is_shown_and_leaves_no_trace",
    ],
    "manners": ["check_unregister_leaves_nothing", "check_panels_draw"],
}
"""What older Blenders must do as well."""
WHOLE = ("making", "arriving", "meanwhile", "trouble", "keeping", "manners")
"""The files whose checks share a Blender."""

WALK_SECONDS = 900
"""More than a walk takes on a busy machine."""

Runner = Callable[[str, str], Outcome]


@pytest.fixture(scope="module")
def run_in(tmp_path_factory: pytest.TempPathFactory, extension_zip: Path) -> Runner:
    """Runs all checks of a file in one Blender, once."""
    done: dict[tuple[str, str], Outcome] = {}

    def run(version: str, name: str) -> Outcome:
        if (version, name) not in done:
            lab = Lab(tmp_path_factory.mktemp("lab"), version, extension_zip)
            checks = SMOKE[name] if version in (OLD_BLENDER, LTS_BLENDER) else checks_of(name)
            done[version, name] = lab.run(name, checks)
        return done[version, name]

    return run


def _expect(outcome: Outcome, check: str) -> None:
    assert check in outcome.results, f"Blender ended with {outcome.code} before it reported:\n{outcome.output[-4000:]}"
    assert outcome.results[check] == "", f"{outcome.results[check]}\n{outcome.output[-2000:]}"


@pytest.mark.parametrize("check", checks_of("making"))
def test_making(run_in: Runner, check: str) -> None:
    _expect(run_in(BLENDER, "making"), check)


@pytest.mark.parametrize("check", checks_of("arriving"))
def test_arriving(run_in: Runner, check: str) -> None:
    _expect(run_in(BLENDER, "arriving"), check)


@pytest.mark.parametrize("check", checks_of("meanwhile"))
def test_meanwhile(run_in: Runner, check: str) -> None:
    _expect(run_in(BLENDER, "meanwhile"), check)


@pytest.mark.parametrize("check", checks_of("trouble"))
def test_trouble(run_in: Runner, check: str) -> None:
    _expect(run_in(BLENDER, "trouble"), check)


@pytest.mark.parametrize("check", checks_of("looking"))
def test_looking(run_in: Runner, check: str) -> None:
    _expect(run_in(BLENDER, "looking"), check)


@pytest.mark.parametrize("check", checks_of("keeping"))
def test_keeping(run_in: Runner, check: str) -> None:
    _expect(run_in(BLENDER, "keeping"), check)


@pytest.mark.parametrize("check", checks_of("scripting"))
def test_scripting(run_in: Runner, check: str) -> None:
    _expect(run_in(BLENDER, "scripting"), check)


@pytest.mark.parametrize("check", checks_of("serving"))
def test_serving(run_in: Runner, check: str) -> None:
    _expect(run_in(BLENDER, "serving"), check)


@pytest.mark.parametrize("check", checks_of("manners"))
def test_manners(run_in: Runner, check: str) -> None:
    _expect(run_in(BLENDER, "manners"), check)


@pytest.mark.parametrize(("name", "check"), [(name, check) for name, checks in SMOKE.items() for check in checks])
def test_oldest_blender(run_in: Runner, name: str, check: str) -> None:
    _expect(run_in(OLD_BLENDER, name), check)


@pytest.mark.long
@pytest.mark.parametrize(("name", "check"), [(name, check) for name, checks in SMOKE.items() for check in checks])
def test_long_term_blender(run_in: Runner, name: str, check: str) -> None:
    _expect(run_in(LTS_BLENDER, name), check)


@pytest.mark.long
@pytest.mark.parametrize(("name", "check"), [(name, check) for name in WHOLE for check in checks_of(name)])
def test_newest_blender(run_in: Runner, name: str, check: str) -> None:
    _expect(run_in(NEWEST_BLENDER, name), check)


@pytest.mark.long
@pytest.mark.parametrize(
    ("version", "name"),
    [(LTS_BLENDER, name) for name in SMOKE] + [(NEWEST_BLENDER, name) for name in WHOLE],
)
def test_further_blenders_end_cleanly(run_in: Runner, version: str, name: str) -> None:
    outcome = run_in(version, name)
    assert outcome.code == 0, outcome.output[-4000:]


@pytest.mark.parametrize(
    ("version", "name"),
    [
        (BLENDER, name)
        for name in ("making", "arriving", "meanwhile", "trouble", "looking", "keeping", "scripting", "serving")
    ]
    + [(OLD_BLENDER, "manners")],
)
def test_blender_ends_cleanly(run_in: Runner, version: str, name: str) -> None:
    outcome = run_in(version, name)
    assert outcome.code == 0, outcome.output[-4000:]
    for figure, value in outcome.figures.items():
        print(f"{version}: {figure}: {value}")


def test_missing_wheel(tmp_path: Path, extension_zip: Path) -> None:
    outcome = Lab(tmp_path, BLENDER, extension_zip).run("incomplete", checks_of("incomplete"))
    _expect(outcome, "check_missing_wheel_is_said")
    assert outcome.code == 0


def test_disks(tmp_path: Path, extension_zip: Path) -> None:
    """Full and read-only disks, for real where this user may mount one; frame_folder has the rest of the cases."""
    if not may_mount():
        pytest.skip("needs the right to mount a small disk: runs as root on Linux")
    lab = Lab(tmp_path, BLENDER, extension_zip)
    disk = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
    disk += ['mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"', str(lab.projects)]
    outcome = lab.run("disks", checks_of("disks"), wrap=tuple(disk))
    for check in checks_of("disks"):
        _expect(outcome, check)


def test_backend_ends_after_blender(tmp_path: Path, extension_zip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path, BLENDER, extension_zip)
    outcome = lab.run("making", ["check_one_frame_is_enough"])
    assert outcome.code == 0
    _expect_backend_to_end(lab)
    monkeypatch.setenv("ELEVATOR_HOME", str(lab.home))
    found = [*diagnosis._folders(), *diagnosis._secrets()]
    assert len(found) >= 4
    assert [each for each in found if each.remedy] == [], "doctor finds nothing wrong in what a first clip has made"


def test_dead_blenders_clip_comes_into_its_file(tmp_path: Path, extension_zip: Path) -> None:
    lab = Lab(tmp_path, BLENDER, extension_zip)
    assert lab.run("crashing", ["check_blender_dies"]).code == -signal.SIGKILL
    job, *_ = (lab.home / "died.txt").read_text(encoding="utf-8").split()
    _expect(lab.run("crashing", ["check_next_blender_takes_it_up"]), "check_next_blender_takes_it_up")
    _expect_backend_to_end(lab)
    with contextlib.closing(sqlite3.connect(lab.home / "data" / "queue.db")) as queue:
        kept = dict(queue.execute("SELECT id, received FROM jobs WHERE state = 'done'"))
    assert len(kept) == 2
    assert kept[job] == 1
    assert set(kept.values()) == {1}, "nothing is kept for anybody"


@pytest.mark.parametrize("version", [BLENDER, OLD_BLENDER])
def test_example_of_a_batch(tmp_path: Path, extension_zip: Path, version: str) -> None:
    lab = Lab(tmp_path, version, extension_zip)
    assert lab.run("scripting", ["check_submit_and_wait"]).code == 0
    edit, table = lab.projects / "submit" / "submit.blend", lab.projects / "prompts.csv"
    table.write_text("prompt,frames,seed\na fox,2,1\na hare fail:out_of_memory,2,2\nan owl,2,3\n", encoding="utf-8")
    done = lab.script(ROOT / "examples" / "batch.py", edit, table)
    assert done.returncode == 4, done.stdout
    assert f"2 of 3 clips are in {edit}" in done.stdout
    assert sorted(path.name[:6] for path in (edit.parent / "elevator").iterdir() if path.is_dir()) == ["a-fox-"] * 2 + [
        "an-owl"
    ]
    table.write_text("prompt,style\na fox,nope\n", encoding="utf-8")
    done = lab.script(ROOT / "examples" / "batch.py", edit, table)
    assert (done.returncode, 'Row 1: There is no style "nope".' in done.stdout) == (1, True), done.stdout


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("seed", "steps"), [(1, 200), *(pytest.param(seed, 500, marks=pytest.mark.long) for seed in range(2, 6))]
)
def test_walk(tmp_path: Path, extension_zip: Path, seed: int, steps: int) -> None:
    """At random, whatever an artist may do. Blenders that kill themselves on the way are followed by others."""
    lab = Lab(tmp_path, BLENDER, extension_zip)
    outcome = lab.run("walking", ["check_walk"], limit=WALK_SECONDS, seed=seed, steps=steps)
    while outcome.code == -signal.SIGKILL:
        outcome = lab.run("walking", ["check_walk"], limit=WALK_SECONDS, seed=seed, steps=steps)
    print(f"seed {seed}: {outcome.figures}")  # what pytest shows of a failure
    _expect(outcome, "check_walk")
    assert outcome.code == 0


def _expect_backend_to_end(lab: Lab) -> None:
    file = lab.home / "state" / "connection.json"
    if file.is_file():
        pid = json.loads(file.read_text(encoding="utf-8"))["pid"]
        deadline = time.monotonic() + 15
        while is_running(pid):
            assert time.monotonic() < deadline, "the backend outlives its last client"
            time.sleep(0.1)
