"""What a clip of the command line leaves behind, and making it once more."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from elevator import Plan, elevate
from elevator.sidecar import read
from tests.elevator.clips import MODELS, PLAN, SMALL, frames_of, names_in, run, said
from tests.elevator.golden import FOLDER, models

pytestmark = pytest.mark.slow
UNET = Path("unet") / "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The folder of a clip of the recorded models."""
    out = tmp_path_factory.mktemp("clips") / "dog"
    assert run("a dog", *MODELS, *SMALL, "--negative", "blurry", "--seed", 5, "--fps", 12, "--out", out) == 0
    return out


@pytest.fixture
def moved(clip, tmp_path):
    """Copies of a clip, and of its models that it names."""
    for name in ("t2i", "zeroscope"):
        shutil.copytree(FOLDER / name, tmp_path / name)
    shutil.copytree(clip, tmp_path / "clip")
    return tmp_path


def here(folder):
    return ("--t2i", folder / "t2i", "--t2v", folder / "zeroscope")


def test_a_clip_is_that_of_elevate(clip):
    plan = models("zeroscope").presets["published"].plan
    settings = {"steps": 3, "refine": (2,), "refine_steps": 1}
    plan = Plan.from_mapping({**{key: getattr(plan, key) for key in vars(plan)}, **settings})
    steps = elevate(
        models("zeroscope"),
        prompt="a dog",
        negative_prompt="blurry",
        plan=plan,
        frames=2,
        height=16,
        width=32,
        seed=5,
    )
    expected = np.stack([step.frame[1] for step in steps if step.frame is not None])
    assert names_in(clip) == ["clip.json", "contact_sheet.jpg", "frame_0001.png", "frame_0002.png"]
    assert names_in(clip.parent) == ["dog"]
    assert np.array_equal(frames_of(clip), expected)
    record = read(clip)
    assert record.settings.plan == plan
    assert [frame.sha256 for frame in record.frames] == [
        hashlib.sha256(Image.fromarray(frame).tobytes()).hexdigest() for frame in expected
    ]
    assert (record.settings.seed, record.settings.fps, record.device.name) == (5, 12, "cpu")
    assert record.metrics["frame_difference"] > 0
    assert {"hashing", "loading", "painting", "refining", "decoding"} <= record.seconds.keys()


def test_the_sidecar_has_the_hashes_of_the_weights(clip):
    listed = {file.path: file for file in read(clip).files}
    weights = [file for name in ("t2i", "zeroscope") for file in (FOLDER / name).rglob("*.safetensors")]
    assert len(weights) == 5
    for file in weights:
        record = listed[str(file)]
        assert record.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert record.size == file.stat().st_size


def test_again_makes_the_same_pixels(clip, capsys, tmp_path):
    assert run("--again", clip / "clip.json", "--out", tmp_path / "again") == 0
    assert "All frames have the recorded pixels." in capsys.readouterr().out
    assert np.array_equal(frames_of(clip), frames_of(tmp_path / "again"))
    one, other = read(clip), read(tmp_path / "again")
    assert (one.settings, one.sources, one.files) == (other.settings, other.sources, other.files)


def test_again_goes_beside_the_clip_and_takes_models_that_moved(clip, moved, capsys):
    shutil.rmtree(moved / "t2i" / "vae")
    shutil.move(moved / "t2i", moved / "elsewhere")
    vae = FOLDER / "t2i" / "vae"
    assert run("--again", moved / "clip", "--t2i", moved / "t2i") == 1
    assert str(moved / "t2i") in said(capsys)
    shutil.copytree(vae, moved / "elsewhere" / "vae")
    assert run("--again", moved / "clip", "--t2i", moved / "elsewhere", "--t2v", moved / "zeroscope") == 0
    assert np.array_equal(frames_of(clip), frames_of(moved / "clip-again"))
    assert read(moved / "clip-again").sources.t2i == str(moved / "elsewhere")


def test_again_refuses_a_changed_weight_and_force_goes_on(moved, capsys):
    weights = moved / "zeroscope" / UNET
    tensors = load_file(weights)
    tensors["conv_out.weight"] *= 1.5  # one bit of one weight may change no pixel, as the processor rounds
    save_file(tensors, weights)
    assert run("--again", moved / "clip", *here(moved)) == 1
    assert f"{weights} has changed;" in said(capsys)
    assert not (moved / "clip-again").exists()
    assert run("--again", moved / "clip", *here(moved), "--force") == 0
    assert "frames have other pixels than recorded" in capsys.readouterr().out


def test_again_refuses_a_file_that_is_missing_or_new(moved, capsys):
    shutil.copy(FOLDER / "t2i" / "scheduler" / "scheduler_config.json", moved / "zeroscope" / "scheduler_config.json")
    (moved / "zeroscope" / "scheduler").mkdir()
    shutil.move(moved / "zeroscope" / "scheduler_config.json", moved / "zeroscope" / "scheduler")
    (moved / "t2i" / "tokenizer" / "merges.txt").unlink()
    assert run("--again", moved / "clip", *here(moved)) == 1
    assert re.search(r"merges\.txt is missing, and 1 more;", said(capsys))


def test_again_says_which_versions_differ(moved, capsys):
    sidecar = moved / "clip" / "clip.json"
    sidecar.write_text(re.sub(r'"torch": "[^"]*"', '"torch": "1.0"', sidecar.read_text()))
    assert run("--again", sidecar, *here(moved)) == 0
    assert "torch 1.0 → " in said(capsys)


def test_again_refuses_models_that_the_clip_did_not_have(clip, capsys):
    assert run("--again", clip, "--vae", FOLDER / "t2i" / "vae") == 1
    assert "0 of --vae" in said(capsys)
    assert run("--again", clip, "--lora", "a", "--lora", "b") == 1
    assert "0 of --lora" in said(capsys)


def test_a_clip_is_not_overwritten_unless_it_may(clip, moved, capsys):
    mine = moved / "clip" / "notes.txt"
    mine.write_text("mine")
    before = frames_of(moved / "clip")
    options = ("a cat", *MODELS, *PLAN, "--frames", 1, "--size", "32x16", "--out", moved / "clip")
    assert run(*options) == 1
    assert "holds a clip already" in said(capsys)
    assert np.array_equal(frames_of(moved / "clip"), before)
    assert run(*options, "--overwrite") == 0
    assert names_in(moved / "clip") == ["clip.json", "contact_sheet.jpg", "frame_0001.png", "notes.txt"]
    assert read(moved / "clip").settings.prompt == "a cat"


def test_what_is_not_understood_is_said_and_recorded(moved, capsys):
    (moved / "t2i" / "known_words.txt").write_text("dog\na\n")
    assert run("a (dog:9) zog", *here(moved), *SMALL, "--out", moved / "new") == 0
    notes = read(moved / "new").notes
    assert "“zog”" in notes[0]
    assert said(capsys, len(notes)) == "\n".join(notes)
    assert len(notes) == 2


def test_the_sidecar_is_the_last_to_come_and_the_first_to_go(moved, monkeypatch):
    def fails_at(name, function):
        def call(path, *others):
            if Path(path).name == name:
                raise KeyboardInterrupt
            function(path, *others)

        return call

    clip = moved / "clip"
    options = ("a cat", *MODELS, *SMALL, "--out", clip, "--overwrite")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fails_at("frame_0002.png", Path.unlink))
        assert run(*options) == 130
    assert names_in(clip) == ["frame_0002.png"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fails_at("clip.json", os.replace))
        assert run(*options) == 130
    assert names_in(clip) == ["contact_sheet.jpg", "frame_0001.png", "frame_0002.png"]
    assert run(*options) == 0
    assert read(clip).settings.prompt == "a cat"
