"""Files that are read: how little of them, and in which sentence broken and hostile ones are refused."""

from __future__ import annotations

import argparse
import collections
import copyreg
import datetime
import io
import json
import os
import pathlib
import pickle
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from elevator import ModelError
from elevator.checkpoints import Identity, Kind, identify
from elevator.checkpoints import header as heading
from elevator.checkpoints.header import read_header
from elevator.checkpoints.outline import outline
from elevator.checkpoints.weights import load_pickle, load_tensors
from tests.compatibility.cases_models import class_of, importable
from tests.elevator.checkpoints.written import header, ldm_checkpoint, write
from tests.elevator.golden import FOLDER


def refused(path, sentence):
    """Both ways of reading a file refuse it with the same sentence."""
    for read in (identify, load_tensors):
        with pytest.raises(ModelError, match=sentence) as caught:
            read(path)
        assert str(caught.value).endswith(".")
        assert str(caught.value).startswith((str(path), "There is no"))


def test_only_the_header_is_read(tmp_path, monkeypatch):
    counts = []

    class Counted(io.FileIO):
        def read(self, size=-1):
            data = super().read(size)
            counts.append(len(data))
            return data

    path = write(tmp_path / "sd.safetensors", ldm_checkpoint())
    monkeypatch.setattr(Path, "open", lambda self, mode, buffering: Counted(self))
    identify(path)
    assert sum(counts) == len(header(ldm_checkpoint())[0])
    assert path.stat().st_size > 100 * sum(counts)


def test_a_safetensors_file_needs_no_torch(tmp_path):
    path = write(tmp_path / "sd.safetensors", ldm_checkpoint())
    code = (
        "import sys; from pathlib import Path; from elevator.checkpoints import identify; "
        "print(identify(Path(sys.argv[1])).family); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'safetensors')))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "SD 1.x"), done.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; download or copy it again"),
        (bytes(range(200, 240)), r"is not a model file; choose a \.safetensors, \.ckpt, \.pt, \.pth or \.bin file"),
        (b"a photo of a cat, sea", r"is a text instead of the model \(“a photo of a cat, sea”\); download the model"),
        (b'{"error": "unauthorized"}\n', 'is a text instead of the model .“{"error": "unauthorized"}”'),
        (b"Access is denied. " * 50, "is a text .*Access is denied. Access is den.*…”"),
        (b"GGUF\3\0\0\0\0\0\0\0", r"is of GGUF, .* choose the same model as a \.safetensors file"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "is an archive; unpack it and choose the model file in it"),
        (b"\x89PNG\r\n\x1a\n", "is a picture; choose a model file"),
        (b"\2\0\0\0", "its end is missing; download or copy it again"),
        (b"\2\0\0\0\0\0\0\0", "its end is missing; download or copy it again"),
        (b"<!DOCTYPE html>\n<html>", "is a web page instead of the model; download the model file itself"),
        (b"\xef\xbb\xbf\n <html lang=en>", "is a web page instead of the model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer .*; run git lfs"),
        (b"PK\x03\x04 and so on", "is not a readable PyTorch file; download or copy it again"),
        (b"\x80\x02 and so on", "is not a readable PyTorch file"),
        (pickle.dumps([1, 2], protocol=2), "is not a readable PyTorch file"),
        ((2).to_bytes(8, "little") + b"{}", "holds no weights; choose a model file"),
        ((2).to_bytes(8, "little") + b"{]", "its header is damaged; download or copy it again"),
        ((10**5).to_bytes(8, "little") + b"{" + b"[" * 10**5, "its header is damaged"),
        ((99_000_000).to_bytes(8, "little") + b"{}", "its end is missing; download or copy it again"),
        ((2**63).to_bytes(8, "little") + b"{}", "is not a model file"),
    ],
    ids=str,
)
def test_what_is_no_model(tmp_path, content, sentence):
    path = tmp_path / ("x.ckpt" if "PyTorch" in sentence else "x.safetensors")
    path.write_bytes(content)
    refused(path, sentence)


def test_what_a_server_says_is_told_in_files_that_are_called_like_models_alone(tmp_path):
    (tmp_path / "notes.md").write_text("a photo of a cat")
    refused(tmp_path / "notes.md", r"notes\.md is not a model file")
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    refused(tmp_path / "model.safetensors.index.json", "is a list of a model's parts; choose the folder in which it")


def test_bytes_behind_the_end_are_said_by_all_who_read(tmp_path):
    """The format's specification: the values fill the file behind the header."""
    save_file({"a.weight": torch.ones(2)}, tmp_path / "x.safetensors")
    with (tmp_path / "x.safetensors").open("ab") as file:
        file.write(b"more")
    refused(tmp_path / "x.safetensors", "it has 4 bytes more than its header says; download or copy it again")


@pytest.mark.parametrize(
    "left",
    [
        argparse.Namespace(rate=1e-4),
        pathlib.PurePosixPath("/data"),
        pathlib.PureWindowsPath("D:/data"),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        datetime.timedelta(1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_settings_of_a_training_are_left_out(tmp_path, left):
    """Such as the options of its command, which nobody needs to read the weights."""
    torch.save({"state_dict": {"a.weight": torch.ones(2)}, "args": left, "list": [left]}, tmp_path / "x.ckpt")
    assert list(read_header(tmp_path / "x.ckpt").shapes) == ["a.weight"]
    assert torch.equal(load_tensors(tmp_path / "x.ckpt")["a.weight"], torch.ones(2))


def test_a_pickle_by_another_name(tmp_path):
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "x.ckpt")
    (tmp_path / "x.ckpt").rename(tmp_path / "x.safetensors")
    refused(tmp_path / "x.safetensors", r"is a PyTorch file in spite of its name; rename it to end in \.ckpt")
    save_file({"a.weight": torch.ones(2)}, tmp_path / "y.ckpt")
    assert load_tensors(tmp_path / "y.ckpt").keys() == {"a.weight"}
    assert not identify(tmp_path / "y.ckpt").kind.startswith("LoRA")


def test_metadata_may_have_any_names(tmp_path):
    metadata = {"shape": "round", "data_offsets": "none", "modelspec.title": "{}"}
    assert identify(write(tmp_path / "x.safetensors", ldm_checkpoint(), metadata)).title == "{}"


@pytest.mark.parametrize(
    "entry",
    [
        b"[]",
        b"{}",
        b'{"shape": [1]}',
        b'{"shape": [1.5], "data_offsets": [0, 0]}',
        b'{"shape": [-1], "data_offsets": [0, 0]}',
        b'{"shape": [true], "data_offsets": [0, 0]}',
        b'{"shape": [1], "data_offsets": [0, null]}',
        b'{"shape": [1], "data_offsets": [0, -9]}',
        b'{"shape": "1", "data_offsets": [0, 0]}',
    ],
)
def test_damaged_headers(tmp_path, entry):
    text = b'{"a.weight": ' + entry + b"}"
    (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    refused(tmp_path / "x.safetensors", "is not a readable safetensors file: its header is damaged")


def test_missing_files_and_folders(tmp_path):
    refused(tmp_path / "nowhere", "There is no file at .*nowhere; choose a model file")
    with pytest.raises(ModelError, match="There is no file"):
        load_tensors(tmp_path)


def test_a_file_that_may_not_be_opened(tmp_path, monkeypatch):
    path = write(tmp_path / "sd.safetensors", ldm_checkpoint())
    monkeypatch.setattr(Path, "open", lambda *_, **__: os.open(tmp_path / "nowhere", os.O_RDONLY))
    with pytest.raises(ModelError, match=r"cannot be read \(No such file.*\); check that you may open it"):
        identify(path)


def test_a_file_cut_anywhere_is_found_without_reading_it(tmp_path):
    path = write(tmp_path / "sd.safetensors", {"a.weight": (1000, 1000), "b.weight": (3,)})
    whole = path.stat().st_size
    identify(path)
    header_end = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    for size in (whole - 1, whole // 2, header_end, header_end - 1, 50, 10):
        os.truncate(path, size)
        refused(path, "is not a readable safetensors file: its end is missing; download or copy it again")
    os.truncate(path, 8)
    refused(path, "its end is missing")


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("zipped", [True, False], ids=["today's format", "the format before 1.6"])
def test_code_in_a_pickle_is_named_and_never_runs(tmp_path, zipped):
    path, mark = tmp_path / "x.ckpt", str(tmp_path / "mark")
    content = {"state_dict": {"a.weight": torch.ones(2)}, "callbacks": Hostile(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    refused(path, r"holds code \(\w+\.mkdir\) besides weights and is refused, .*; choose the same model as a \.safe")
    with pytest.raises(ModelError, match="holds code"):
        load_pickle(path)
    assert not Path(mark).exists()
    torch.load(path, weights_only=False)
    assert Path(mark).exists(), "the test's file does run code where it is let"


def test_no_weights_in_a_pickle(tmp_path):
    contents: tuple[Any, ...] = (
        {"a": 1},
        [torch.ones(1)],
        torch.ones(1),
        {"state_dict": {}},
        {},
        {"a": {"b": {"c": torch.ones(1)}}},
    )
    for content in contents:
        torch.save(content, tmp_path / "x.pt")
        refused(tmp_path / "x.pt", "holds no weights by name; choose a model file")


@pytest.mark.parametrize("zipped", [True, False], ids=["today's format", "the format before 1.6"])
def test_shapes_of_a_pickle_are_found_without_its_weights(tmp_path, monkeypatch, zipped):
    """Those of today's format are mapped into memory, where nothing asks for them."""
    mapped, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: mapped.append(kwargs["mmap"]) or load(*args, **kwargs))
    path = tmp_path / "x.pt"
    torch.save({"a.weight": torch.ones(300, 200)}, path, _use_new_zipfile_serialization=zipped)
    assert [(t.is_meta, t.shape) for t in load_pickle(path, "meta").values()] == [(True, (300, 200))]
    assert not load_pickle(path)["a.weight"].is_meta
    assert mapped == [zipped, False]


@pytest.mark.parametrize("zipped", [True, False], ids=["today's format", "the format before 1.6"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_of_any_protocol_is_followed(tmp_path, protocol, zipped):
    tensors = {"a": torch.ones(3), "b": torch.ones(2, 3, dtype=torch.float16)}
    content = {"state_dict": tensors, "epoch": 7, "names": ["x", "x"], "pairs": ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4))}
    torch.save(content, tmp_path / "x.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    followed = outline(tmp_path / "x.pt").content
    shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in followed.pop("state_dict").items()}
    assert shapes == {"a": ((3,), "float32"), "b": ((2, 3), "float16")}
    assert followed == {key: value for key, value in content.items() if key != "state_dict"}


def test_a_pickle_that_holds_itself_ends(tmp_path):
    content: dict[Any, Any] = {}
    content["state_dict"] = content["ema"] = content
    torch.save(content, tmp_path / "loop.pt")
    refused(tmp_path / "loop.pt", "holds no weights by name")


UNET = FOLDER / "t2i" / "unet" / "diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda tensors: tensors,
        lambda tensors: {"state_dict": tensors, "epoch": 1},
        lambda tensors: {"ema": tensors, "opt": {}},
        lambda tensors: {"state_dict": {f"module.{key}": tensor for key, tensor in tensors.items()}},
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_weights_are_the_same_however_they_are_wrapped(tmp_path, wrapped, zipped):
    expected = load_file(UNET)
    torch.save(wrapped(expected), tmp_path / "x.ckpt", _use_new_zipfile_serialization=zipped)
    for tensors in (load_tensors(tmp_path / "x.ckpt"), load_tensors(UNET)):
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in tensors.items())


def test_tensors_one_level_down_have_both_names(tmp_path):
    torch.save({"string_to_param": {"*": torch.ones(2, 3)}, "name": "a"}, tmp_path / "x.pt")
    assert {name: tensor.shape for name, tensor in load_tensors(tmp_path / "x.pt").items()} == {
        "string_to_param.*": (2, 3)
    }


WHOLE, SIZE = header({"a.attn2.to_k.weight": (4, 4), "emb_params": (2, 8)}, {"ss_tag_frequency": '{"a": {"b": 1}}'})
WHOLE += bytes(SIZE)


def saved(content, **settings):
    buffer = io.BytesIO()
    torch.save(content, buffer, **settings)
    return buffer.getvalue()


ZIPPED = saved({"state_dict": {"a.weight": torch.ones(2, 3)}, "name": "x"})
LEGACY = saved({"state_dict": {"a.weight": torch.ones(2, 3)}}, _use_new_zipfile_serialization=False)


@st.composite
def mutated(draw, original):
    """A file with some bytes changed, put in or taken out."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@st.composite
def headers(draw):
    """A header that is JSON, but not what it should be."""
    names = st.sampled_from(["emb_params", "a.attn2.to_k.weight", "up_blocks.", "__metadata__", "x", "conv_in.weight"])
    entry = st.fixed_dictionaries({"shape": JSON | st.lists(st.integers(0, 3)), "data_offsets": JSON | st.just([0, 0])})
    text = json.dumps(draw(st.dictionaries(names, entry | JSON))).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(st.binary(max_size=64) | headers() | mutated(WHOLE) | mutated(ZIPPED) | mutated(LEGACY))
@example(WHOLE)
def test_any_bytes_are_identified_or_refused(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.ckpt"
        path.write_bytes(data)
        try:
            assert isinstance(identify(path), Identity)
        except ModelError:
            with pytest.raises(ModelError):
                load_tensors(path)


CALLBACK = class_of("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")


@pytest.mark.parametrize("zipped", [True, False], ids=["today's format", "the format before 1.6"])
@pytest.mark.parametrize(
    "beside",
    [
        {CALLBACK: {"best": 0.1}},
        [CALLBACK, {"class": CALLBACK}],
        {"loss": np.float64(0.5), "epoch": np.int64(3)},
        {"losses": np.arange(3.0)},
    ],
    ids=["a class as a key", "a class as a value", "numbers of NumPy", "an array of NumPy"],
)
def test_what_a_pickle_merely_names_is_stood_in_for(tmp_path, beside, zipped):
    path = tmp_path / "x.ckpt"
    with importable(CALLBACK):
        torch.save(
            {"state_dict": {"a.weight": torch.ones(2)}, "x": beside}, path, _use_new_zipfile_serialization=zipped
        )
    assert "pytorch_lightning" not in sys.modules
    assert torch.equal(load_tensors(path)["a.weight"], torch.ones(2))
    assert identify(path).kind is Kind.OTHER
    assert "pytorch_lightning" not in sys.modules
    if not zipped:
        return
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)  # the stand-ins are gone again


class Reduced:
    """Calls a class that is not here, in one of the ways that a pickle has."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    "called",
    [
        lambda: CALLBACK(),
        lambda: Reduced(CALLBACK, ("x",)),
        lambda: Reduced(vars(copyreg)["_reconstructor"], (CALLBACK, object, None)),
        lambda: Reduced(collections.OrderedDict, (CALLBACK,)),
    ],
    ids=["an object of it", "a call", "an object in the older way", "given to another"],
)
def test_what_a_pickle_calls_is_refused_by_name(tmp_path, called):
    with importable(CALLBACK):
        torch.save({"state_dict": {"a.weight": torch.ones(2)}, "callbacks": called()}, tmp_path / "x.ckpt")
    name = rf"({re.escape(CALLBACK.__module__)}\.ModelCheckpoint|copy_reg\._reconstructor)"
    refused(tmp_path / "x.ckpt", rf"holds code \({name}\) besides weights and is refused")


@pytest.mark.parametrize("name", ["os\nsystem", "builtins\neval", "subprocess\nrun"])
def test_what_no_file_of_weights_names_is_refused_uncalled(tmp_path, name):
    text = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01c" + name.encode() + b"\ns."
    with zipfile.ZipFile(tmp_path / "x.ckpt", "w") as archive:
        archive.writestr("x/data.pkl", text)
        archive.writestr("x/version", "3")
    refused(tmp_path / "x.ckpt", rf"holds code \({name.replace(chr(10), '.')}\) besides weights")


@pytest.mark.parametrize("around", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("wrapper", ["model_state_dict", "model", "module"])
def test_what_trainers_put_around_names_is_left_out(tmp_path, around, wrapper):
    torch.save({wrapper: {f"{around}a.weight": torch.ones(2)}, "epoch": 3}, tmp_path / "x.pt")
    assert load_tensors(tmp_path / "x.pt").keys() == read_header(tmp_path / "x.pt").shapes.keys() == {"a.weight"}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.safetensors", (128).to_bytes(8, "little") + b'{"a": ', "its end is missing"),  # it begins as a pickle may
        ("x.safetensors", b"\2\0\0\0\0\0\0\0x", "is not a model file"),
        ("x.ckpt", b"\2\0\0\0", "is not a model file"),
        ("x.ckpt", b"a" * 60, rf"\(“{'a' * 60}”\)"),
        ("x.ckpt", b"a" * 61, rf"\(“{'a' * 59}…”\)"),
        ("x.ckpt", "é".encode() * 300, "is a text"),
    ],
)
def test_the_first_bytes_tell_what_is_no_model(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, sentence)


def test_a_header_may_be_as_long_as_the_limit_and_no_longer(tmp_path, monkeypatch):
    path = write(tmp_path / "x.safetensors", {"a.weight": (2, 2)})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    monkeypatch.setattr(heading, "MAX_HEADER", length)
    assert read_header(path).shapes == {"a.weight": (2, 2)}
    os.truncate(path, 12)
    with pytest.raises(ModelError, match="its end is missing"):
        read_header(path)
    monkeypatch.setattr(heading, "MAX_HEADER", length - 1)
    write(path, {"a.weight": (2, 2)})
    with pytest.raises(ModelError, match="is not a model file"):
        read_header(path)


def test_numbers_of_a_type_that_nobody_knows_are_refused(tmp_path):
    text = b'{"a.weight": {"dtype": "Q9", "shape": [1], "data_offsets": [0, 1]}}'
    (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\0")
    assert read_header(tmp_path / "x.safetensors").shapes == {"a.weight": (1,)}
    with pytest.raises(ModelError, match="is not a readable safetensors file; download or copy it again"):
        load_tensors(tmp_path / "x.safetensors")


def test_a_pickle_that_is_called_safetensors_is_not_handed_on(tmp_path):
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match=r"is a PyTorch file in spite of its name; rename it to end in \.ckpt"):
        load_pickle(tmp_path / "x.safetensors")


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    def short(*_, **__):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory")

    torch.save({"a.weight": torch.ones(2)}, tmp_path / "x.ckpt")
    monkeypatch.setattr(torch, "load", short)
    with pytest.raises(RuntimeError, match="not enough memory"):
        load_pickle(tmp_path / "x.ckpt")


def test_what_a_training_wrote_beside_the_weights_is_metadata(tmp_path):
    content = {"state_dict": {"a.weight": torch.ones(2)}, "name": "film", 7: "seven", "global_step": 110000}
    torch.save(content, tmp_path / "x.ckpt")
    header = read_header(tmp_path / "x.ckpt")
    assert (header.metadata, header.step) == ({"name": "film", "7": "seven"}, 110000)
    torch.save({"state_dict": {"a.weight": torch.ones(2)}, "global_step": 1.5}, tmp_path / "x.ckpt")
    assert read_header(tmp_path / "x.ckpt").step is None
