"""`python -m elevator`: options, refusals and interruptions, on the recorded models and on the embedded ones."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from subprocess import PIPE
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from elevator import elevate, load_models
from elevator.cli import recording
from elevator.cli.clip_options import new_clip
from elevator.cli.options import parser
from elevator.cli.values import MAX_SEED
from elevator.defaults import STRENGTH
from elevator.pictures.sheet import contact_sheet
from elevator.provenance import source_files
from elevator.sidecar import read
from elevator.sources import Lora
from tests.elevator.clips import MODELS, PLAN, SMALL, frames_of, names_in, run, said
from tests.elevator.golden import FOLDER, models

pytestmark = pytest.mark.slow


def test_a_distilled_t2i_has_the_preset_for_it_where_none_is_named(tmp_path):
    size = ("--frames", "2", "--size", "32x16", "--out", tmp_path / "clip")
    assert run("a dog", *MODELS, "--distilled", "hyper", "--set", "steps=5", *size) == 0
    sidecar = read(tmp_path / "clip")
    assert (sidecar.settings.preset, sidecar.sources.distilled) == ("turbo", "hyper")
    assert (sidecar.settings.plan.guidance, sidecar.settings.plan.matching) == (1, "snr")


def test_every_option_reaches_its_place(tmp_path, monkeypatch, capsys):
    """Checked where the sampler is called: what it makes of these is the sampler's own business."""
    asked: dict[str, Any] = {}
    loaded: dict[str, Any] = {}

    def noted(into, function):
        def call(*arguments, **settings):
            into.update(settings, given=arguments)
            return function(*arguments, **settings)

        return call

    monkeypatch.setattr(recording, "elevate", noted(asked, elevate))
    monkeypatch.setattr(recording, "load_models", noted(loaded, load_models))
    pictures = np.random.default_rng(0).integers(0, 256, (4, 16, 32, 3), np.uint8)
    (tmp_path / "frames").mkdir()
    for k, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "frames" / f"{k}.png")
    Image.fromarray(pictures[2]).save(tmp_path / "anchor.png")
    options = (
        *("a dog", *MODELS, *PLAN, "--size", "32x16", "--set", "lowpass.method=none"),
        *(
            "--travel",
            "1=a = b",
            "--footage",
            tmp_path / "frames",
            "--strength",
            ".5",
            "--anchor",
            tmp_path / "anchor.png",
        ),
        *("--vae", FOLDER / "t2i" / "vae", "--t2v-text", FOLDER / "t2i", "--t2v-schedule", "lavie"),
        *("--frames", 3, "--prediction-type", "v_prediction", "--dtype", "float32", "--device", "cpu", "--offload"),
    )
    assert run(*options, "--out", tmp_path / "clip") == 0
    assert asked["prompt"] == ""
    assert asked["prompts"] == {0: "a dog", 1: "a = b"}
    assert np.array_equal(asked["init_frames"], pictures[:3])
    assert asked["strength"] == 0.5
    assert np.array_equal(asked["anchor_frame"], pictures[2])
    assert asked["plan"].lowpass.method == "none"
    assert asked["frames"] == 3
    sources = loaded["given"][0]
    t2i = (FOLDER / "t2i").absolute()
    assert (sources.vae, sources.t2v_text) == (str(t2i / "vae"), str(t2i))
    assert (sources.t2v_schedule, sources.prediction_type, loaded["offload"]) == ("lavie", "v_prediction", True)
    listed = [file.source for file in read(tmp_path / "clip").files]
    assert {"anchor", "vae", "t2v_text"} <= set(listed)
    assert listed.count("init") == 3

    first = dict(asked)
    assert run("--again", tmp_path / "clip", "--out", tmp_path / "again") == 0
    assert "All frames" in capsys.readouterr().out
    assert first.keys() == asked.keys()
    assert all(np.array_equal(first[key], asked[key]) for key in first.keys() - {"given"})
    Image.fromarray(pictures[0]).save(tmp_path / "frames" / "1.png")
    assert run("--again", tmp_path / "clip", "--out", tmp_path / "other") == 1
    assert "1.png has changed" in said(capsys)


@pytest.mark.parametrize(("pictures", "frames"), [(3, 3), (20, 16)])
def test_a_clip_is_as_long_as_its_footage_but_not_too_long(tmp_path, pictures, frames):
    for k in range(pictures):
        (tmp_path / f"{k}.png").touch()
    options = new_clip(vars(parser().parse_args(["a dog", *MODELS, "--footage", str(tmp_path)])))
    assert options.frames == options.settings(models("zeroscope")).frames == frames
    assert options.settings(models("zeroscope")).strength == STRENGTH


def test_footage_may_be_one_picture(tmp_path):
    picture = tmp_path / "frame.png"
    picture.touch()
    (tmp_path / "other.png").touch()
    options = new_clip(vars(parser().parse_args(["a dog", *MODELS, "--footage", str(picture)])))
    assert options.frames == 1
    assert [file.path for file in source_files(options.sources, options.pictures, 1) if file.source == "init"] == [
        picture
    ]


def test_a_fault_of_ours_has_a_code_of_its_own(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(recording, "make", lambda order: 1 / 0)
    assert run("a dog", *MODELS, *SMALL, "--out", tmp_path / "clip") == 70
    assert "ZeroDivisionError" in caplog.text


def test_loras_and_embeddings_are_recorded_and_keep_their_weights(tmp_path, capsys):
    lora = "elevator/embedded/weights/loras/sketch"
    shutil.copytree(lora, tmp_path / "moved")
    options = ("--t2i", "embedded", "--t2v", "embedded", *PLAN, "--frames", 1)
    assert run("a red ball", *options, "--lora", f"{lora}:0.5", "--out", tmp_path / "clip") == 0
    assert read(tmp_path / "clip").sources.loras == (Lora(str(Path(lora).absolute()), 0.5),)
    assert (read(tmp_path / "clip").settings.width, read(tmp_path / "clip").settings.height) == (64, 64)
    assert run("--again", tmp_path / "clip", "--lora", tmp_path / "moved") == 0
    assert "All frames" in capsys.readouterr().out
    assert read(tmp_path / "clip-again").sources.loras == (Lora(str(tmp_path / "moved"), 0.5),)


def test_the_folder_is_named_after_prompt_and_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("A dog, on (grass)!", *MODELS, *SMALL) == 0
    folder = next((tmp_path / "out").iterdir())
    seed = read(folder).settings.seed
    assert folder.name == f"a-dog-on-grass-{seed}"
    assert f"seed {seed}," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a dog", *MODELS, "--preset", "nonsense"), "no preset 'nonsense' here; choose one of published"),
        (("a dog", *MODELS, "--set", "stepz=3"), "no setting 'stepz'"),
        (("a dog", *MODELS, "--set", "steps.x=3"), "no table 'steps'"),
        (("a dog", *MODELS, "--set", "steps=3"), "refine names countdown"),
        ((" ", *MODELS, *PLAN), "The prompt is empty"),
        (("a dog", *MODELS, *PLAN, "--size", "33x16"), "width is 33"),
        (("a dog", *MODELS, *PLAN, "--lora", "missing.safetensors"), "missing.safetensors"),
        (("a dog", "--t2i", "missing", "--t2v", "embedded"), "missing"),
        (("a dog", *MODELS, "--footage", "missing"), "missing is no folder with PNG files"),
        (("a dog", *MODELS, *PLAN, "--anchor", str(FOLDER / "masks.safetensors")), "is not a readable picture"),
        (("--again", "missing"), "missing cannot be read"),
    ],
)
def test_what_is_to_be_changed_is_one_sentence(tmp_path, capsys, arguments, sentence):
    out = tmp_path / "folder" / "clip"
    assert run(*arguments, "--out", out) == 1
    assert sentence in said(capsys)
    assert not out.exists()


@pytest.mark.parametrize("option", ["--footage", "--anchor"])
def test_a_broken_picture_is_said_before_any_file_is_hashed(tmp_path, monkeypatch, capsys, option):
    hashed: list[Any] = []
    monkeypatch.setattr(recording, "recorded", hashed.append)
    Image.new("RGB", (32, 16)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:-20])
    assert run("a dog", *MODELS, *SMALL, option, tmp_path / "cut.png", "--out", tmp_path / "clip") == 1
    assert "cut.png" in said(capsys)
    assert not hashed


def test_a_file_in_the_folders_place_is_not_touched(tmp_path, capsys):
    out = tmp_path / "file"
    out.write_text("mine")
    assert run("a dog", *MODELS, *SMALL, "--out", out, "--overwrite") == 1
    assert "is a file" in said(capsys)
    assert run("a dog", *MODELS, *SMALL, "--out", out / "clip") == 1
    assert "cannot be written" in said(capsys)
    assert out.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("a dog",), "--t2i and --t2v must be given"),
        (("a dog", "--t2i", "x"), "--t2v must be given"),
        (MODELS, "a prompt must be given"),
        ((*MODELS, "--travel", "x=a dog"), "travel"),
        (("a dog", *MODELS, "--travel", "0=a cat"), "two prompts for one frame"),
        (("a dog", *MODELS, "--force"), "--force goes with --again"),
        (("a dog", *MODELS, "--set", "steps"), "has no ="),
        (("a dog", *MODELS, "--set", "=3"), "has no ="),
        (("a dog", *MODELS, "--size", "32"), "is no size"),
        (("a dog", *MODELS, "--seed", "-2"), "is not between"),
        (("a dog", *MODELS, "--device", "tpu"), "is no device"),
        (("a \udcff dog", *MODELS), "UTF-8"),
        (("--again", "x", "--seed", "1"), "leave out: seed"),
        (("a dog", "--again", "x"), "leave out: prompt"),
    ],
)
def test_what_is_not_a_command_is_told_from_what_is_to_be_changed(capsys, arguments, problem):
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert end.value.code == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("units", [1, 4, 7])
def test_an_interrupted_clip_leaves_nothing(tmp_path, monkeypatch, capsys, units):
    def interrupted(*arguments, **settings):
        for number, step in enumerate(elevate(*arguments, **settings)):
            if number == units:
                assert names_in(tmp_path) != []
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(recording, "elevate", interrupted)
    assert run("a dog", *MODELS, *SMALL, "--out", tmp_path / "clip") == 130
    assert said(capsys) == "Interrupted."
    assert names_in(tmp_path) == []


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch, capsys):
    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert run("a dog", *MODELS, *SMALL, "--out", tmp_path / "clip") == 1
    assert "cannot be written (No space left on device)" in said(capsys)
    assert names_in(tmp_path) == []


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text), st.floats(allow_nan=False))
def test_a_weight_is_what_follows_the_last_colon(path, weight):
    def asked(text):
        return parser().parse_args([f"--lora={text}"]).lora[0]

    assert asked(f"{path}:{weight}") == Lora(str(Path(path).absolute()), weight)
    assert asked(f"{path}.safetensors") == Lora(str(Path(f"{path}.safetensors").absolute()), 1.0)


@pytest.mark.parametrize(
    ("option", "end", "beyond", "problem"),
    [
        ("seed", -1, -2, "-2 is not between 0 and"),
        ("seed", MAX_SEED, MAX_SEED + 1, f"is not between 0 and {MAX_SEED}"),
        ("fps", Fraction(1, 1_000_000), 0, "is no frame rate"),
        ("fps", Fraction(9_999_999), 10_000_000, "is no frame rate"),
        ("fps", Fraction(24), math.nan, "is no frame rate"),
        ("size", (99999, 99999), (100000, 99999), "is no size"),
        ("size", (99999, 99999), (99999, 100000), "is no size"),
    ],
)
def test_both_ends_of_every_option_can_be_given_and_no_more(capsys, option, end, beyond, problem):
    def given(value):
        text = "x".join(map(str, value)) if isinstance(value, tuple) else value
        text = f"{float(value):.6f}" if isinstance(value, Fraction) else text
        return getattr(parser().parse_args(["a cat", f"--{option}={text}"]), option)

    assert given(end) == end
    with pytest.raises(SystemExit):
        given(beyond)
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("end", "beyond", "problem"),
    [
        (("--frames", 1), ("--frames", 0), "frames is 0; choose 1 or more"),
        (("--travel", "1=a cat"), ("--travel", "2=a cat"), "frame 2; choose 0 to 1"),
        (("--travel", "1=a cat"), ("--travel", "-1=a cat"), "frame -1; choose 0 to 1"),
        (("--strength", 0), ("--strength", -math.ulp(0.0)), "choose 0 (the footage stays)"),
        (("--strength", 1), ("--strength", math.nextafter(1, 2)), "to 1 (nothing is seen of it)"),
    ],
)
def test_the_sampler_takes_both_ends_of_an_option_and_no_more(tmp_path, capsys, end, beyond, problem):
    for k in range(2):
        Image.new("RGB", (32, 16)).save(tmp_path / f"{k}.png")
    footage = ("--footage", tmp_path) if end[0] == "--strength" else ()
    options = ("a dog", *MODELS, *SMALL, *footage, "--out", tmp_path / "clip")
    assert run(*options, *beyond) == 1
    assert problem in said(capsys)
    assert not (tmp_path / "clip").exists()
    assert run(*options, *end) == 0


def test_drive_letters_are_no_paths_of_their_own():
    found = parser().parse_args(["--lora", r"C:\style.safetensors", "--lora", r"C:\style.safetensors:0.8"]).lora
    assert [(Path(lora.path).name, lora.weight) for lora in found] == [
        (r"C:\style.safetensors", 1.0),
        (r"C:\style.safetensors", 0.8),
    ]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_values_are_json(value):
    assert parser().parse_args(["--set", f"a.b={json.dumps(value)}"]).set == [("a.b", value)]


def test_values_that_are_no_json_are_texts():
    assert parser().parse_args(["--set", "way_back=blend"]).set == [("way_back", "blend")]


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 16, 32, 3), (32, 16)),
        ((5, 16, 32, 3), (96, 32)),
        ((16, 512, 256, 3), (512, 1024)),
        ((2, 9, 900, 3), (512, 3)),
    ],
)
def test_the_sheet_shows_every_frame_once(shape, size):
    clip = np.broadcast_to(np.arange(10, 10 + 3 * shape[0]).reshape(-1, 1, 1, 3).astype(np.uint8), shape)
    sheet = contact_sheet(clip)
    assert sheet.size == size
    colours = {colour for _, colour in sheet.getcolors() or ()}
    assert colours - {(0, 0, 0)} == {tuple(map(int, frame[0, 0])) for frame in clip}
    assert sheet.getpixel((0, 0)) == tuple(clip[0, 0, 0])


@pytest.mark.parametrize("arguments", [["--help"], ["a dog"], ["--again", "missing"]])
def test_nothing_heavy_is_imported_before_it_is_needed(arguments):
    code = (
        f"import sys; from elevator.cli.command_line import main\ntry: main({arguments!r})\nexcept SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'diffusers', 'transformers', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def start(*arguments):
    """`python -m elevator` on the embedded models, in a process of its own."""
    command = (sys.executable, "-m", "elevator", "a red ball", "--t2i", "embedded", "--t2v", "embedded")
    return subprocess.Popen([*command, *map(str, arguments)], stdout=PIPE, stderr=PIPE, text=True, encoding="utf-8")


def test_from_end_to_end_with_the_embedded_models(tmp_path, capsys):
    made = start(*PLAN, "--frames", 2, "--seed", 4, "--out", tmp_path / "ball")
    out, err = made.communicate()
    assert (made.returncode, err) == (0, "")
    assert "2 frames of 64 × 64 pixels, seed 4" in out
    assert run("--again", tmp_path / "ball" / "clip.json") == 0
    assert "All frames have the recorded pixels." in capsys.readouterr().out
    assert np.array_equal(frames_of(tmp_path / "ball"), frames_of(tmp_path / "ball-again"))


def test_a_clip_may_be_one_film_with_its_sidecar_beside_it(tmp_path, capsys):
    out = tmp_path / "ball.mp4"
    made = ["a dog", *MODELS, *SMALL, "--fps", "12", "--seed", "4", "--out", out]
    assert run(*made) == 0
    assert names_in(tmp_path) == ["ball.mp4", "ball.mp4.json"]
    assert str(out) + ".json" in capsys.readouterr().out
    with av.open(str(out)) as film:
        (stream,) = film.streams.video
        assert float(stream.average_rate or 0) == 12
        assert sum(1 for _ in film.decode(video=0)) == 2
    assert run(*made) == 1
    assert f"{out} is there already" in capsys.readouterr().err
    assert run("--again", tmp_path / "ball.mp4.json", "--out", out, "--overwrite") == 0
    assert "All frames have the recorded pixels." in capsys.readouterr().out
    assert names_in(tmp_path) == ["ball.mp4", "ball.mp4.json"]


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    running = start("--frames", 16, "--out", tmp_path / "ball")
    deadline = time.monotonic() + 300
    while not names_in(tmp_path) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [name.startswith(".ball-") for name in names_in(tmp_path)] == [True]
    running.send_signal(signal.SIGINT)
    assert running.communicate()[1] == "Interrupted.\n"
    assert running.returncode == 130
    assert names_in(tmp_path) == []
