"""The record that the real maker leaves, clips made again from it, and footage."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from backend.failures import BackendError
from backend.worker import clip_record
from backend.worker.maker import Advance, Extra, Picture
from backend.worker.sampling import SamplingMaker
from elevator.cli.clip_options import clip_again
from elevator.cli.recording import make
from elevator.pictures.metrics import measure
from elevator.pictures.sheet import contact_sheet
from elevator.provenance import recorded, source_files
from elevator.sidecar import Sidecar, decode
from tests.backend.clip_orders import PATHS, SKETCH, WEIGHTS, Made, lora, made, order, written

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (WEIGHTS / "t2i").is_dir(), reason="the embedded models are not there"),
]
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def maker() -> SamplingMaker:
    return SamplingMaker("cpu")


def sidecar(result: Made) -> Sidecar:
    return decode(result.extras["clip.json"], Path("clip.json"))


def pictures(folder: Path, count: int, size: tuple[int, int] = (64, 64)) -> tuple[str, ...]:
    """Files of coloured noise, whose channels differ."""
    chance = np.random.default_rng(0)
    paths = []
    for k in range(count):
        coarse = chance.integers(0, 256, (4, 4, 3), np.uint8)
        path = folder / f"{k:064x}"  # as uploads are named: by their hash, without a suffix
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, "png")
        paths.append(str(path))
    return tuple(paths)


def test_the_record_comes_last_and_says_how_the_clip_was_made(maker: SamplingMaker) -> None:
    wanted = order(loras=lora(0.5), style="sketch", preset="published", negative_prompt="a dog", prompt="a cat (big:9)")
    result = made(maker.make(wanted))
    kinds = [type(item) for item in result.items]
    assert kinds.index(Extra) > max(k for k, kind in enumerate(kinds) if kind is Picture)
    assert list(result.extras) == ["clip.json", "contact_sheet.jpg"]
    said = sidecar(result)
    assert (said.settings.prompt, said.settings.negative_prompt) == ("a cat (big:9)", "a dog")
    assert (said.settings.style, said.settings.preset, said.settings.seed) == ("sketch", "published", 1)
    assert (said.device.name, said.device.dtype, said.device.offload) == ("cpu", "float32", False)
    assert said.metrics == measure(result.clip).as_dict()
    assert said.notes == tuple(result.notes) != ()
    assert {"loading", "painting", "decoding", "measuring"} <= said.seconds.keys()
    for file in said.files:
        assert file == recorded(source_files(wanted.sources)[said.files.index(file)])
    assert {Path(file.path).parent for file in said.files} >= {WEIGHTS / "t2i" / "unet", SKETCH}
    sheet = np.asarray(Image.open(io.BytesIO(result.extras["contact_sheet.jpg"])))
    drawn = np.asarray(contact_sheet(result.clip))
    assert np.abs(sheet.astype(int) - drawn).mean() < 2, "but for what JPEG loses"


CLIPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lora": {"loras": lora(0.7)},
    "lora_on_both": {"loras": lora(0.7), "loras_on_t2v": True, "t2v": str(WEIGHTS / "animatediff")},
    "cautious": {},
}


@pytest.mark.parametrize("name", CLIPS)
def test_the_command_line_makes_the_clip_again(name: str, maker: SamplingMaker, tmp_path: Path) -> None:
    result = made(maker.make(order(**CLIPS[name]), cautious=name == "cautious"))
    folder = written(result, tmp_path / "clip")
    again = make(clip_again({"again": folder, "quiet": True}))
    assert again.frames == sidecar(result).frames
    assert again.settings == sidecar(result).settings


def test_a_clip_of_footage_is_made_again_even_from_another_folder(maker: SamplingMaker, tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    # Of another size than the clip's: both must make it smaller in the same way.
    footage = pictures(tmp_path / "uploads", 4, (100, 80))
    result = made(maker.make(order(footage=footage, strength=0.6, anchor=footage[0]), PATHS))
    assert result.notes == ["Footage of 100 × 80 pixels is resized to the clip's 64 × 64."]
    folder = written(result, tmp_path / "clip")
    assert [file.path for file in sidecar(result).files][-5:] == [*footage, footage[0]]
    shutil.move(tmp_path / "uploads", tmp_path / "moved")
    for k, path in enumerate(sorted((tmp_path / "moved").iterdir())):
        path.rename(path.with_name(f"{k}.png"))
    given = {"init": str(tmp_path / "moved"), "anchor": str(tmp_path / "moved" / "0.png")}
    again = make(clip_again({"again": folder, "quiet": True, **given}))
    assert again.frames == sidecar(result).frames


def test_footage_of_no_strength_comes_out_as_it_is(maker: SamplingMaker, tmp_path: Path) -> None:
    footage = pictures(tmp_path, 4)
    result = made(maker.make(order(footage=footage, strength=0.0), PATHS))
    given = np.stack([np.asarray(Image.open(path)) for path in footage])
    through_vae = np.abs(result.clip.astype(int) - given).mean()
    swapped = np.abs(result.clip.astype(int) - given[..., ::-1]).mean()
    assert through_vae < swapped / 2, "red is red"
    assert result.notes == []
    phases = {item.phase for item in result.items if isinstance(item, Advance)}
    assert phases == {"text", "encoding", "decoding"} | ({"loading"} if result.loading else set()) | phases & {
        "writing"
    }


@pytest.mark.parametrize("damage", ["missing", "torn", "empty", "text"])
@pytest.mark.parametrize("part", ["footage", "anchor"])
def test_a_picture_that_cannot_be_read_is_named(part: str, damage: str, maker: SamplingMaker, tmp_path: Path) -> None:
    paths = pictures(tmp_path, 4)
    broken = Path(paths[-1])
    data = {"torn": broken.read_bytes()[:40], "empty": b"", "text": b"no picture"}
    broken.unlink() if damage == "missing" else broken.write_bytes(data[damage])
    fields = {"footage": paths} if part == "footage" else {"anchor": paths[-1]}
    which = "picture 4 of the footage" if part == "footage" else "the anchor"
    with pytest.raises(BackendError, match=which) as error:
        made(maker.make(order(**fields), PATHS))
    assert error.value.code == "footage_missing"
    assert broken.name not in str(error.value), "an upload's name tells its owner nothing"


def test_footage_of_another_length_is_a_bad_request(maker: SamplingMaker, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="init_frames") as error:
        made(maker.make(order(footage=pictures(tmp_path, 3), strength=0.5), PATHS))
    assert error.value.code == "bad_request"
    with pytest.raises(BackendError, match="strength"):
        made(maker.make(order(strength=0.5)))


def test_sixteen_bits_become_eight(maker: SamplingMaker, tmp_path: Path) -> None:
    paths = pictures(tmp_path, 4)
    plain = made(maker.make(order(footage=paths, strength=0.0), PATHS)).clip
    for path in paths:
        pixels = np.asarray(cv2.imdecode(np.frombuffer(Path(path).read_bytes(), np.uint8), cv2.IMREAD_COLOR))
        Path(path).write_bytes(cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes())
    assert np.array_equal(made(maker.make(order(footage=paths, strength=0.0), PATHS)).clip, plain)


def test_files_are_hashed_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker, hashed = SamplingMaker("cpu"), []
    monkeypatch.setattr(clip_record, "recorded", lambda file: hashed.append(file.path) or recorded(file))
    style = shutil.copytree(SKETCH, tmp_path / "style")
    wanted = order(loras=(type(lora(1)[0])(path=str(style), weight=1.0),))
    first = sidecar(made(maker.make(wanted)))
    assert len(hashed) == len(set(hashed)) == len(first.files)
    hashed.clear()
    second = sidecar(made(maker.make(wanted)))
    assert hashed == []
    assert second.files == first.files
    file = style / "pytorch_lora_weights.safetensors"
    os.utime(file, ns=(1, 1))
    made(maker.make(wanted))
    assert hashed == [file]


def test_a_file_that_is_gone_when_the_clip_is_finished_spoils_nothing(maker: SamplingMaker, tmp_path: Path) -> None:
    style = shutil.copytree(SKETCH, tmp_path / "style")
    items = []
    for item in maker.make(order(loras=(type(lora(1)[0])(path=str(style), weight=1.0),))):
        items.append(item)
        if isinstance(item, Picture) and item.index == 0:
            shutil.rmtree(style)
    assert "clip.json" in Made(items).extras
