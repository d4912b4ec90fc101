"""Where long prompts are cut, and what weights do to hidden states."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elevator.text.chunks import TokenRun, cut, padded, weighted

COMMA = (267,)


def runs(text):
    """A run for each letter; "," is a comma, a digit is a word of so many vectors."""
    sizes = [int(letter) if letter.isdigit() else 1 for letter in text]
    ids = [COMMA if letter == "," else (ord(letter),) * size for letter, size in zip(text, sizes, strict=True)]
    return [TokenRun(tokens, 1.0) for tokens in ids]


def texts(chunks):
    return ["".join("," if run.ids == COMMA else chr(run.ids[0]) for run in chunk) for chunk in chunks]


@pytest.mark.parametrize(
    ("text", "room", "expected"),
    [
        ("", 75, [""]),
        ("a" * 75, 75, ["a" * 75]),
        ("a" * 76, 75, ["a" * 75, "a"]),
        ("a" * 150, 75, ["a" * 75, "a" * 75]),
        # The 20 last tokens of a chunk are looked at, its first 55 are not.
        ("a" * 55 + "," + "b" * 20, 75, ["a" * 55 + ",", "b" * 20]),
        ("a" * 54 + "," + "b" * 21, 75, ["a" * 54 + "," + "b" * 20, "b"]),
        ("a" * 60 + ",bb," + "c" * 12, 75, ["a" * 60 + ",bb,", "c" * 12]),
        ("a" * 74 + "," + "b", 75, ["a" * 74 + ",", "b"]),
        ("a" * 60 + "," + "b" * 14 + ",c", 75, ["a" * 60 + "," + "b" * 14, ",c"]),
        ("a" * 60 + "," + "b" * 88 + ",cc", 75, ["a" * 60 + ",", "b" * 75, "b" * 13 + ",cc"]),
        # Short chunks look back over half of themselves.
        ("aa,bbb", 5, ["aa,bb", "b"]),
        ("aaa,bbb", 5, ["aaa,", "bbb"]),
        # The vectors of a word stay together.
        ("aaa5b", 5, ["aaa", "5", "b"]),
        ("aaa,b4", 5, ["aaa,", "b4"]),
        ("aaa,b5", 5, ["aaa,", "b", "5"]),
        ("a,bbb5", 5, ["a,bbb", "5"]),
        ("aaa,3", 5, ["aaa,", "3"]),
        ("aa,3", 5, ["aa,", "3"]),
    ],
)
def test_chunks(text, room, expected):
    assert texts(cut(runs(text), room, COMMA)) == expected


@given(st.text(st.sampled_from("ab,123")), st.integers(3, 30))
def test_chunks_hold_everything_in_order_and_fit(text, room):
    chunks = cut(runs(text), room, COMMA)
    assert [run for chunk in chunks for run in chunk] == runs(text)
    assert all(sum(len(run.ids) for run in chunk) <= room for chunk in chunks)
    assert all(chunks) or chunks == [[]]


def test_rows_are_filled_up():
    assert padded([[1, 2], []], 3, 7).tolist() == [[1, 2, 7], [7, 7, 7]]
    assert padded([[1]], 2, 0).dtype == torch.int64


def hidden(mean, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 8, 64, generator=generator) + mean


WEIGHTS = torch.ones(2, 8)
WEIGHTS[1, 2:4] = 1.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.7])
def test_weights_of_one_change_no_bit(mean, dtype):
    states = hidden(mean).to(dtype)
    assert torch.equal(weighted(states, torch.ones(2, 8)), states)
    assert torch.equal(weighted(states, WEIGHTS)[0], states[0]), "nor in a chunk beside a weighted one"
    assert weighted(states, WEIGHTS).dtype == dtype


@pytest.mark.parametrize("mean", [-0.7, 0.7])
def test_tokens_are_multiplied_and_their_chunks_mean_restored(mean):
    """The formula of AUTOMATIC1111's EmphasisOriginal, a chunk at a time."""
    states = hidden(mean)
    z = states[1] * WEIGHTS[1][:, None]
    assert torch.allclose(weighted(states, WEIGHTS)[1], z * (states[1].mean() / z.mean()), atol=1e-6)
    assert weighted(states, WEIGHTS)[1].mean().item() == pytest.approx(states[1].mean().item(), abs=1e-6)


def test_a_mean_that_tells_no_scale_is_left_alone():
    """Token means of both signs that almost cancel: their quotient would be far from any weight."""
    states = hidden(0.0) - hidden(0.0).mean(dim=2, keepdim=True)
    states[1] += torch.tensor([0.1, -0.1] * 4)[:, None]
    states[1, 0] += 0.01
    scaled = states * WEIGHTS[..., None]
    scaled[1, 2] *= 2
    heavier = WEIGHTS.clone()
    heavier[1, 2] *= 2
    assert not 0.3 < (states[1].mean() / scaled[1].mean()).item() < 3
    assert torch.allclose(weighted(states, heavier), scaled, atol=1e-6)


def test_states_without_any_mean_stay_finite():
    assert weighted(torch.zeros(1, 3, 4), torch.tensor([[1.0, 0.0, 2.0]])).tolist() == torch.zeros(1, 3, 4).tolist()
