"""Pickles followed instruction by instruction: against Python's own reading of them, and of those that nobody calls."""

from __future__ import annotations

import pickle
import pickletools
import tempfile
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elevator import ModelError
from elevator.checkpoints import outline as outlining
from elevator.checkpoints.header import NeedsTorch, read_header
from elevator.checkpoints.outline import HoldsCode, Tensor, Unclear, outline

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists, tuples and dicts of these."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner) | st.lists(inner, max_size=5).map(tuple) | st.dictionaries(st.text(), inner),
    )


PLAIN = st.tuples(nested(LEAVES), st.integers(0, 5)) | st.tuples(nested(LEAVES | st.binary()), st.integers(3, 5))
"""Values and protocols; bytes are made by a call in the earlier ones."""


def python_reads(text: bytes) -> Any:
    """What Python makes of a pickle, of which all are written here."""
    return pickle.loads(text)  # noqa: S301


def followed(text: bytes, folder: Path) -> Any:
    """What is found in a file of today's format whose pickle is this."""
    path = folder / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", text)
        archive.writestr("x/version", "3")
    return outline(path).content


@given(PLAIN)
def test_plain_values_are_those_that_python_reads(written: tuple[Any, int]) -> None:
    value, protocol = written
    text = pickle.dumps(value, protocol=protocol)
    with tempfile.TemporaryDirectory() as folder:
        assert followed(text, Path(folder)) == python_reads(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"\x80\x02K\x01K\x022\x87.",  # DUP
        b"\x80\x02K\x01K\x02K\x030\x86.",  # POP
        b"\x80\x02K\x01(K\x02K\x031K\x04\x86.",  # POP_MARK
        b"\x80\x02(K\x01K\x02K\x03K\x04d.",  # DICT
        b"(lp0\nI7\naI01\na.",  # as protocol 0 writes lists and truth
        b"\x80\x04\x8f(K\x01\x90.",  # a set
    ],
)
def test_instructions_that_are_seldom_used_do_what_they_do(text: bytes, tmp_path: Path) -> None:
    found, expected = followed(text, tmp_path), python_reads(text)
    assert (set(found) if isinstance(expected, set) else found) == expected


@pytest.mark.parametrize("length", [2, 5])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_tuple_that_holds_itself_is_followed(length: int, protocol: int, tmp_path: Path) -> None:
    inner: list[Any] = []
    value = (inner, *range(length - 1))
    inner.append(value)
    found = followed(pickle.dumps(value, protocol=protocol), tmp_path)
    assert found[1:] == value[1:]
    assert found[0][0] is found


def test_what_is_put_into_something_else_is_not_looked_at(tmp_path: Path) -> None:
    text = b"\x80\x02K\x05ccollections\nCounter\n)R(X\x01\x00\x00\x00aK\x01u\x86."
    assert python_reads(text) == (5, Counter(a=1))
    assert followed(text, tmp_path)[0] == 5


def test_what_a_dict_is_made_of_by_a_call_is_in_it(tmp_path: Path) -> None:
    """As Python 2 wrote it: a call with a list of pairs."""
    text = b"\x80\x02ccollections\nOrderedDict\n](](X\x01\x00\x00\x00aK\x01e](X\x01\x00\x00\x00bK\x02ee\x85R."
    assert followed(text, tmp_path) == dict(python_reads(text)) == {"a": 1, "b": 2}
    assert followed(pickle.dumps(OrderedDict(a=1), protocol=2), tmp_path) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"(ios\nsystem\n.", "os.system"),  # INST
        (b"\x80\x02K\x07cmine\nThing\n}b.", "mine.Thing"),  # BUILD: its state is set
        (b"\x80\x02cmine\nThing\n)R.", "mine.Thing"),
        (b"\x80\x02cmine\nThing\n)\x81.", "mine.Thing"),
        (b"\x80\x02ctorch\nSize\ncmine\nThing\n\x85R.", "mine.Thing"),
    ],
)
def test_what_would_be_called_is_named(text: bytes, named: str, tmp_path: Path) -> None:
    with pytest.raises(HoldsCode) as refused:
        followed(text, tmp_path)
    assert str(refused.value) == named


@pytest.mark.parametrize(
    "text",
    [
        b"\x80\x04\x8f(K\x01\x91.",  # a frozen set
        b"\x80\x02K\x01K\x02a.",  # put into a number
        b"\x80\x02K\x01)R.",  # a number called
        b"\x80\x02ctorch.nn.modules.linear\nLinear\n.",  # of torch, which knows whether that is harmless
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nNK\x00K\x07\x87R.",  # a shape that is none
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nNK\x00N\x85\x87R.",
        b"\x80\x02ccopyreg\n_reconstructor\n)R.",
        b"\x80\x02K\x01",  # no end
    ],
)
def test_what_is_not_followed_is_left_to_torch(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(Unclear):
        followed(text, tmp_path)


def test_pickles_without_an_end_are_no_way_to_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = pickle.dumps([1, 2], protocol=2)
    steps = len(list(pickletools.genops(text)))
    monkeypatch.setattr(outlining, "MOST_STEPS", steps)
    monkeypatch.setattr(outlining, "MOST_BYTES", len(text))
    assert followed(text, tmp_path) == [1, 2]
    monkeypatch.setattr(outlining, "MOST_STEPS", steps - 1)
    with pytest.raises(Unclear):
        followed(text, tmp_path)
    monkeypatch.setattr(outlining, "MOST_STEPS", steps)
    monkeypatch.setattr(outlining, "MOST_BYTES", len(text) - 1)
    with pytest.raises(Unclear):
        followed(text, tmp_path)


class Tagged(torch.Tensor):
    """As fastai and others have their own."""


def test_tensors_in_every_wrapping_are_found_without_torch(tmp_path: Path) -> None:
    tagged, parameter = torch.ones(2, 3), torch.nn.Parameter(torch.ones(4))
    tagged.origin, parameter.origin = "a", "b"  # type: ignore[attr-defined]
    tensors = {"a": tagged, "b": torch.nn.Parameter(torch.ones(5).half()), "c": parameter}
    torch.save({"state_dict": tensors, "size": torch.Size((2, 3)), "steps": [1]}, tmp_path / "x.pt")
    found = outline(tmp_path / "x.pt").content
    kept = {name: (tensor.shape, tensor.dtype) for name, tensor in found["state_dict"].items()}
    assert kept == {"a": ((2, 3), "float32"), "b": ((5,), "float16"), "c": ((4,), "float32")}
    assert (found["size"], found["steps"]) == ((2, 3), [1])


@pytest.mark.parametrize(
    ("place", "tensor"),
    [
        (b"(X\x07\x00\x00\x00storagectorch\nHalfStorage\nX\x01\x00\x00\x007t", Tensor((2,), "float16", "7", 3)),
        (b"(X\x07\x00\x00\x00storagectorch\nHalfStoraget", Tensor((2,))),
        (b"K\x07", Tensor((2,))),
    ],
)
def test_a_storage_that_says_nothing_leaves_the_shape(place: bytes, tensor: Tensor, tmp_path: Path) -> None:
    if place.endswith(b"HalfStoraget"):
        place = place[:-1] + b"\nt"
    text = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + place + b"QK\x03K\x02\x85tR."
    assert followed(text, tmp_path) == tensor


def test_a_zip_without_its_end_is_damaged_whoever_reads_it(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(9)}, tmp_path / "x.pt")
    (tmp_path / "x.pt").write_bytes((tmp_path / "x.pt").read_bytes()[:-9])
    with pytest.raises(ModelError, match="is not a readable PyTorch file") as said:
        read_header(tmp_path / "x.pt", torch=False)
    assert not isinstance(said.value, NeedsTorch)
