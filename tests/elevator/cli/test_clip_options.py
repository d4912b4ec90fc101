"""Options as a clip to be made, before any model is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from elevator import RequestError
from elevator.cli import command_line, recording
from elevator.cli.clip_options import ClipOptions, clip_again, new_clip
from elevator.cli.options import parser
from elevator.cli.recording import check_folder
from elevator.cli.shared import default_folder
from elevator.sidecar import Device, Pictures, encode
from elevator.sources import Lora, Sources
from tests.elevator.clips import MODELS, run
from tests.elevator.golden import models
from tests.elevator.test_sidecar import SAMPLE


def clip(*words: object) -> ClipOptions:
    """What a command asks for."""
    given = vars(parser().parse_args([*map(str, words)]))
    return clip_again(given) if "again" in given else new_clip(given)


def test_what_is_not_said_is_the_default() -> None:
    options = clip("a dog", *MODELS, "--seed", 3)
    assert (options.frames, options.out) == (16, Path("out/a-dog-3").absolute())
    assert (options.device, options.pictures) == (Device("auto", "auto"), Pictures())
    assert (options.overwrite, options.quiet, options.like, options.force) == (False, False, None, False)
    settings = options.settings(models("zeroscope"))
    assert (settings.prompt, settings.travel, settings.negative_prompt) == ("a dog", {}, "")
    assert (settings.seed, settings.frames, settings.fps, settings.strength) == (3, 16, 8.0, 1.0)
    assert (settings.preset, settings.plan) == ("published", models("zeroscope").presets["published"].plan)


def test_a_clip_that_travels_is_named_after_its_first_prompt() -> None:
    options = clip(*MODELS, "--travel", "9=a cat", "--travel", "4=a dog", "--seed", 3, "--frames", 12)
    settings = options.settings(models("zeroscope"))
    assert (settings.prompt, settings.travel) == ("", {9: "a cat", 4: "a dog"})
    assert options.out.name == "a-dog-3"
    both = clip("a fox", *MODELS, "--travel", "4=a dog").settings(models("zeroscope"))
    assert (both.prompt, both.travel) == ("", {0: "a fox", 4: "a dog"})


def test_random_seeds_differ() -> None:
    seeds = {clip("a dog", *MODELS, *more).out.name for more in ((), ("--seed", -1), ("--seed", -1))}
    assert len(seeds) == 3


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """The sidecar of a clip with pictures, LoRAs and an embedding."""
    (tmp_path / "clip").mkdir()
    for k in range(3):
        (tmp_path / f"{k}.png").touch()
    return tmp_path / "clip" / "clip.json"


def written(record: Path, pictures: Pictures) -> Path:
    sources = msgspec.structs.replace(
        SAMPLE.sources, loras=(Lora("/c", 0.5), Lora("/d", -1.0)), embeddings=("/e",), vae="/v"
    )
    record.write_bytes(encode(msgspec.structs.replace(SAMPLE, sources=sources, pictures=pictures)))
    return record


def test_again_is_the_clip_with_files_where_they_lie_now(record: Path) -> None:
    written(record, Pictures(init="/frames", anchor="/anchor.png"))
    same = clip("--again", record)
    assert (same.sources.loras, same.pictures.init) == ((Lora("/c", 0.5), Lora("/d", -1.0)), "/frames")
    assert (same.out, same.frames, same.device) == (record.parent.with_name("clip-again"), 1, Device("cpu", "float32"))
    assert clip("--again", record.parent).out == same.out
    assert same.like is not None
    assert same.settings(models("zeroscope")) == same.like.settings
    moved = clip(
        *("--again", record, "--lora", "/new/c:0.9", "--lora", "/new/d", "--embedding", "/new/e", "--vae", "/new/v"),
        *("--footage", "/new/frames", "--anchor", "/new/a.png", "--t2i", "/new/a", "--dtype", "float16"),
        *("--out", "/out", "--force", "--overwrite", "--offload"),
    )
    assert moved.sources.loras == (Lora("/new/c", 0.5), Lora("/new/d", -1.0)), "weights stay"
    assert (moved.sources.embeddings, moved.sources.vae, moved.sources.t2i) == (("/new/e",), "/new/v", "/new/a")
    assert (moved.pictures.init, moved.pictures.anchor) == ("/new/frames", "/new/a.png")
    assert moved.device == Device("cpu", "float16", offload=True)
    assert (moved.out, moved.force, moved.overwrite) == (Path("/out"), True, True)


def test_footage_of_single_files_is_found_in_one_folder(record: Path, tmp_path: Path) -> None:
    written(record, Pictures(footage=("/x/a.png", "/x/b.png"), fit="stretch"))
    pictures = clip("--again", record, "--footage", tmp_path).pictures
    assert pictures.footage == (str(tmp_path / "0.png"), str(tmp_path / "1.png"))
    assert (pictures.init, pictures.fit) == (None, "stretch")
    (tmp_path / "1.png").unlink()
    assert len(clip("--again", record, "--footage", tmp_path).pictures.footage) == 2
    (tmp_path / "2.png").unlink()
    with pytest.raises(RequestError, match="made from 2 pictures; choose a --footage that holds them"):
        clip("--again", record, "--footage", tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--t2v-text", "/x"), "0 of --t2v-text"),
        (("--lora", "/x"), "2 of --lora"),
        (("--embedding", "/x", "--embedding", "/y"), "1 of --embedding"),
        (("--t2v-lora", "/x"), "0 of --t2v-lora"),
        (("--footage", "/x"), "0 of --footage"),
        (("--anchor", "/x"), "0 of --anchor"),
    ],
)
def test_as_many_files_are_named_as_there_were(record: Path, words: tuple[str, ...], says: str) -> None:
    written(record, Pictures())
    with pytest.raises(RequestError, match=f"The clip was made with {says}; give as many or none"):
        clip("--again", record, *words)


def test_where_a_clip_may_go(tmp_path: Path) -> None:
    film, folder, file = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c"
    film.touch()
    folder.mkdir()
    file.touch()
    for overwrite in (True, False):
        check_folder(tmp_path / "new.mp4", overwrite)
        check_folder(tmp_path / "new", overwrite)
        check_folder(tmp_path, overwrite)
        for taken in (folder, file):
            with pytest.raises(RequestError, match=r"is there already|is a file"):
                check_folder(taken, overwrite)
    check_folder(film, True)
    with pytest.raises(RequestError, match="is there already"):
        check_folder(film, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*MODELS, "--travel", "2=a cat"), None),
        (("a dog", *MODELS, "--travel", "2=a cat", "--travel", "2=a dog"), "there are two prompts for one frame"),
        (("a dog", "--t2v", "x"), "--t2i must be given, or --again"),
    ],
)
def test_what_contradicts_itself_is_no_command(words: tuple[str, ...], said: str | None) -> None:
    assert command_line._misunderstood(vars(parser().parse_args(words))) == said


def test_whoever_has_left_ends_the_command_and_is_not_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def left(options: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(recording, "make", left)
    with pytest.raises(BrokenPipeError):
        run("a dog", *MODELS, "--out", tmp_path / "clip")


@pytest.mark.parametrize(
    ("text", "seed", "name"),
    [("A dog, on (grass)!", 7, "a-dog-on-grass-7"), ("x" * 60, None, "x" * 40), ("!?", None, "clip"), ("é", 0, "é-0")],
)
def test_a_folder_is_named_after_prompt_and_seed(text: str, seed: int | None, name: str) -> None:
    assert default_folder(text, seed) == Path("out") / name


@pytest.mark.parametrize("fit", ["cover", "stretch"])
def test_pictures_of_another_shape_are_cut_or_stretched(
    fit: Any, record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def noted(*_: Any, **settings: Any) -> None:
        asked.update(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(recording, "elevate", noted)
    monkeypatch.setattr(recording, "load_models", lambda *_, **__: None)
    wide = np.zeros((64, 384, 3), np.uint8)  # three times as wide as the clip
    wide[:, :128], wide[:, 256:] = 200, 100
    for k in range(2):
        Image.fromarray(wide).save(tmp_path / f"{k}.png")
    pictures = Pictures(footage=(str(tmp_path / "0.png"),), anchor=str(tmp_path / "1.png"), fit=fit)
    data = msgspec.structs.replace(SAMPLE, pictures=pictures, files=(), sources=Sources("embedded", "embedded"))
    record.write_bytes(encode(data))
    assert run("--again", record, "--force", "--out", tmp_path / "out") == 130
    for picture in (asked["init_frames"][0], asked["anchor_frame"]):
        assert picture.shape == (32, 64, 3)
        assert (int(picture[16, 4, 0]), int(picture[16, 60, 0])) == ((200, 100) if fit == "stretch" else (0, 0))
