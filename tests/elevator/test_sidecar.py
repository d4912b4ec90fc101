"""The sidecar's format, and the files that it names."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from elevator import LowPass, ModelError, Plan, PlanError, RequestError, load_models, sidecar
from elevator._version import VERSION
from elevator.pictures.clip_folder import RECORD
from elevator.provenance import differences, recorded, source_files
from elevator.sidecar import ClipSettings, Device, File, FrameFile, Pictures, Sidecar
from elevator.sources import Lora, Sources
from tests.elevator.golden import FOLDER
from tests.parity import T2VS

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SHA = st.text("0123456789abcdef", min_size=64, max_size=64)
LORAS = st.lists(st.builds(Lora, path=st.text(), weight=NUMBERS), max_size=2).map(tuple)
MAYBE = st.none() | st.text()
PLANS = st.builds(
    Plan,
    steps=st.integers(9, 60),
    refine=st.sets(st.integers(3, 9)).map(lambda levels: tuple(sorted(levels, reverse=True))),
    refine_steps=st.integers(1, 3),
    guidance=st.floats(1.1, 20),
    lowpass=st.builds(LowPass, method=st.sampled_from(["butterworth", "none"]), d_t=st.floats(0.1, 2)),
)


@st.composite
def sidecars(draw):
    count = draw(st.integers(0, 3))
    settings = st.builds(
        ClipSettings,
        travel=st.dictionaries(st.integers(0, 999), st.text(), max_size=2),
        plan=PLANS,
        frames=st.just(count),
        seed=st.integers(0, 2**63 - 1),
        strength=NUMBERS,
        fps=NUMBERS,
    )
    sources = st.builds(
        Sources,
        vae=MAYBE,
        loras=LORAS,
        t2v_loras=LORAS,
        embeddings=st.lists(st.text(), max_size=2).map(tuple),
    )
    return Sidecar(
        made_with=draw(st.dictionaries(st.text(), st.text(), max_size=2)),
        sources=draw(sources),
        device=draw(st.builds(Device)),
        settings=draw(settings),
        files=tuple(draw(st.lists(st.builds(File, size=st.integers(0, 2**50)), max_size=2))),
        seconds=draw(st.dictionaries(st.text(), NUMBERS, max_size=2)),
        notes=tuple(draw(st.lists(st.text(), max_size=2))),
        frames=tuple(draw(st.lists(st.builds(FrameFile, sha256=SHA), min_size=count, max_size=count))),
        metrics=draw(st.dictionaries(st.text(), st.none() | NUMBERS, max_size=2)),
        pictures=draw(st.builds(Pictures, init=MAYBE, footage=st.lists(st.text(), max_size=2).map(tuple))),
    )


SAMPLE = Sidecar(
    made_with={"torch": "2"},
    sources=Sources(t2i="/a", t2v="/b", loras=(Lora("/c", 0.5),)),
    device=Device("cpu", "float32"),
    settings=ClipSettings("a dog", "", {}, "published", Plan(), 1, 64, 32, 7, 1.0, 8.0),
    files=(File("t2i", ".", "/a", 3, "0" * 64),),
    seconds={"loading": 1.0},
    notes=(),
    frames=(FrameFile("frame_0001.png", "1" * 64),),
    metrics={"flow": None},
)
PATH = Path("clip.json")


def refused(data: bytes, kind: type[Exception] = RequestError) -> str:
    with pytest.raises(kind) as caught:
        sidecar.decode(data, PATH)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.slow
@given(sidecars())
def test_decoding_undoes_encoding(made):
    assert sidecar.decode(sidecar.encode(made), PATH) == made


def test_it_is_plain_json_of_the_current_format():
    content = json.loads(sidecar.encode(SAMPLE))
    assert content["format"] == sidecar.FORMAT
    assert content["settings"]["plan"]["refine"] == [45, 35, 25, 15]
    assert content["sources"]["loras"] == [{"path": "/c", "weight": 0.5}]


def test_fields_of_later_versions_are_ignored():
    content = json.loads(sidecar.encode(SAMPLE))
    content["mood"] = content["settings"]["mood"] = content["settings"]["plan"]["mood"] = "blue"
    assert sidecar.decode(json.dumps(content).encode(), PATH) == SAMPLE


def test_pictures_that_an_earlier_version_wrote_among_the_sources_are_read():
    content = json.loads(sidecar.encode(SAMPLE))
    del content["pictures"]
    content["sources"] |= {"init": "/i", "anchor": "/a", "footage": ["/f"], "fit": "stretch"}
    pictures = Pictures(init="/i", anchor="/a", footage=("/f",), fit="stretch")
    assert sidecar.decode(json.dumps(content).encode(), PATH) == msgspec.structs.replace(SAMPLE, pictures=pictures)


def test_a_later_format_is_refused_by_its_number():
    content = json.loads(sidecar.encode(SAMPLE)) | {"format": 2, "settings": "quite different"}
    assert "is in format 2" in refused(json.dumps(content).encode())


@pytest.mark.parametrize("end", [0, 1, 200, -3])
def test_a_part_of_a_sidecar_is_refused(end):
    assert "clip.json is not a readable sidecar" in refused(sidecar.encode(SAMPLE)[:end])


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"seed": 7', b'"seed": "7"'), (b'"steps": 50', b'"steps": null'), (b'"frames": 1', b'"frames": 2')],
)
def test_fields_of_other_types_or_frames_that_lack_are_refused(old, new):
    data = sidecar.encode(SAMPLE)
    assert data.count(old) == 1
    assert "not a readable sidecar" in refused(data.replace(old, new))


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[]", b"[" * 100_000])
def test_other_files_are_refused(data):
    refused(data)


def test_an_impossible_plan_is_refused_as_such():
    assert "steps" in refused(sidecar.encode(SAMPLE).replace(b'"steps": 50', b'"steps": 0'), PlanError)


def test_it_is_read_from_its_file_or_folder(tmp_path):
    file = tmp_path / RECORD
    with pytest.raises(RequestError, match=re.escape(str(file))):
        sidecar.read(tmp_path)
    file.write_bytes(sidecar.encode(SAMPLE))
    assert sidecar.read(tmp_path) == sidecar.read(file) == SAMPLE


def test_versions_are_those_in_use():
    assert sidecar.made_with()["elevator"] == VERSION
    assert sidecar.made_with()["torch"] == torch.__version__
    assert set(sidecar.made_with()) == {
        *("elevator", "python", "platform"),
        *("torch", "diffusers", "transformers", "numpy"),
    }


def state(models):
    networks = {"t2i": models.t2i.unet, "t2v": models.t2v.unet, "vae": models.vae}
    networks |= {"t2i text": models.t2i_text.encoder, "t2v text": models.t2v_text.encoder}
    return {f"{name} {key}": value for name, part in networks.items() for key, value in part.state_dict().items()}


def cluttered(folder: Path, t2v: str) -> Sources:
    """A copy of recorded models with files among them that nothing reads."""
    for name in ("t2i", t2v):
        shutil.copytree(FOLDER / name, folder / name)
        for part in (folder / name, *(path for path in (folder / name).iterdir() if path.is_dir())):
            for clutter in ("README.md", "diffusion_pytorch_model.bin", "model.fp16.safetensors", "flax_model.msgpack"):
                (part / clutter).write_bytes(b"clutter")
    shutil.copytree(FOLDER / "t2i" / "vae", folder / t2v / "vae")
    return Sources(t2i=str(folder / "t2i"), t2v=str(folder / T2VS[t2v]))


def without_others(folder: Path, named) -> None:
    kept = {file.path.resolve() for file in named}
    for path in folder.rglob("*"):
        if path.is_file() and path.resolve() not in kept:
            path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("t2v", ["zeroscope", "animatediff", "lavie"])
def test_the_files_that_are_found_are_those_that_are_read(tmp_path, t2v):
    sources = cluttered(tmp_path, t2v)
    named = source_files(sources)
    whole = load_models(sources)
    without_others(tmp_path, named)
    again = load_models(sources)
    assert dict(whole.t2v.unet.config) == dict(again.t2v.unet.config)
    before, after = state(whole), state(again)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    for file in (file.path for file in named if file.path.suffix == ".safetensors"):
        content = file.read_bytes()
        file.write_bytes(content[:-1])
        with pytest.raises(ModelError):
            load_models(sources)
        file.write_bytes(content)


@pytest.mark.slow
def test_a_vae_or_text_encoder_of_its_own_is_found_instead(tmp_path):
    sources = cluttered(tmp_path, "zeroscope")
    shutil.copytree(FOLDER / "t2i" / "vae", tmp_path / "own")
    other = Sources(t2i=sources.t2i, t2v=sources.t2v, vae=str(tmp_path / "own"), t2v_text=sources.t2i)
    named = source_files(other)
    without_others(tmp_path, named)
    load_models(other)
    listed = {(file.source, file.name.split("/")[0]) for file in named}
    assert ("t2i", "vae") not in listed
    assert ("t2v", "text_encoder") not in listed
    assert {("vae", "config.json"), ("t2v_text", "tokenizer")} <= listed


def test_shards_and_pytorch_files_are_found(tmp_path):
    shards = [f"diffusion_pytorch_model-0000{k}-of-00002.safetensors" for k in (1, 2)]
    for name in (*shards, "diffusion_pytorch_model.bin", "config.json"):
        (tmp_path / "unet").mkdir(exist_ok=True)
        (tmp_path / "unet" / name).touch()
    (tmp_path / "text_encoder").mkdir()
    (tmp_path / "text_encoder" / "pytorch_model.bin").touch()
    named = [file.name for file in source_files(Sources(t2i=str(tmp_path), t2v="embedded_animatediff"))]
    assert named[:4] == ["unet/config.json", *(f"unet/{shard}" for shard in shards), "text_encoder/pytorch_model.bin"]


def test_small_sources_are_found_each_under_its_number(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "frames").mkdir()
    for k in (2, 1, 3):
        (tmp_path / "frames" / f"{k}.png").touch()
    file, folder = str(tmp_path / "file.safetensors"), str(tmp_path / "folder")
    sources = Sources(
        t2i="embedded",
        t2v="embedded",
        loras=(Lora(file), Lora(folder)),
        t2v_loras=(Lora(file),),
        embeddings=(file,),
    )
    pictures = Pictures(init=str(tmp_path / "frames"), anchor=file)
    small = [
        (each.source, each.name) for each in source_files(sources, pictures, 2) if each.source not in ("t2i", "t2v")
    ]
    assert small == [
        ("t2v_loras 1", "."),
        ("loras 1", "."),
        ("loras 2", "pytorch_lora_weights.safetensors"),
        ("embeddings 1", "."),
        ("init", "1.png"),
        ("init", "2.png"),
        ("anchor", "."),
    ]


def test_a_file_is_recorded_with_size_and_hash(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"0123456789" * 100_000)
    file = recorded(source_files(Sources(t2i="embedded", t2v="embedded", vae=str(path)))[8])
    assert file == File("vae", ".", str(path), 1_000_000, hashlib.sha256(path.read_bytes()).hexdigest())
    path.unlink()
    with pytest.raises(ModelError, match=re.escape(str(path))):
        recorded(source_files(Sources(t2i="embedded", t2v="embedded", vae=str(path)))[8])


def test_differences_name_files_by_where_they_are_read():
    then = [File("t2i", "a", "/old/a", 1, "1"), File("t2i", "b", "/old/b", 1, "2"), File("vae", "a", "/v/a", 1, "3")]
    moved = [File(file.source, file.name, file.path.replace("/old", "/new"), 1, file.sha256) for file in then]
    assert differences(moved, then) == ()
    changed = [moved[0], File("t2i", "b", "/new/b", 1, "9"), File("t2i", "c", "/new/c", 1, "3")]
    assert differences(changed, then) == ("/v/a is missing", "/new/b has changed", "/new/c was not there")


def test_the_embedded_models_are_found_by_name():
    named = source_files(Sources(t2i="embedded", t2v="embedded_animatediff"))
    assert {file.name for file in named if file.source == "t2v"} == {
        "motion_adapter/config.json",
        "motion_adapter/diffusion_pytorch_model.safetensors",
        "pytorch_lora_weights.safetensors",
        "scheduler/scheduler_config.json",
    }
    assert all(load_file(file.path) for file in named if file.path.suffix == ".safetensors")
