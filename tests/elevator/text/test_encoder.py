"""Prompts of any length, with weights, against transformers' own hidden states."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from elevator import ModelError
from elevator.text import TextEncoder
from elevator.text.tokenizer import tokenizer
from tests.elevator.text.clip import WIDTH, network, states, text_encoder

LONG = ", ".join(["a red fox in the snow"] * 20)  # 7 tokens each, the last 6


@pytest.mark.parametrize("padding", ["end", "zero"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("prompt", ["", "a photo of a cat!", "  Two\nlines ", "x " * 75])
def test_short_prompts_are_bitwise_as_before(prompt, masked, padding):
    encoder = text_encoder(padding, masked=masked)
    assert torch.equal(encoder(prompt), states(encoder, prompt))


@given(st.text(st.characters(exclude_characters="()[]<", exclude_categories=["Cs"]), max_size=15))
def test_any_short_text_is_bitwise_as_before(prompt):
    assume("BREAK" not in prompt)
    encoder = text_encoder()
    assert torch.equal(encoder(prompt), states(encoder, prompt))


def test_the_mask_and_the_padding_matter():
    results = [text_encoder(padding, masked=masked)("a cat") for padding in ("end", "zero") for masked in (False, True)]
    assert not torch.equal(results[0], results[2])
    assert not torch.equal(results[0][:, 10:], results[1][:, 10:])


@pytest.mark.parametrize("masked", [False, True])
def test_long_prompts_are_chunks_side_by_side(masked):
    encoder = text_encoder(masked=masked)
    found = encoder(LONG)
    assert found.shape == (1, 2 * 77, WIDTH)
    # 10 phrases with their commas are 70 tokens; the 11th would be cut, so it goes to the next chunk.
    first, second = ", ".join(["a red fox in the snow"] * 10) + ",", ", ".join(["a red fox in the snow"] * 10)
    expected = torch.cat([states(encoder, first), states(encoder, second)], dim=1)
    assert torch.allclose(found, expected, atol=1e-5)


def test_without_commas_every_chunk_is_full():
    encoder = text_encoder()
    colours = ["red", "green", "blue"]
    words = [colours[number % 3] for number in range(160)]
    parts = [states(encoder, " ".join(words[start : start + 75])) for start in (0, 75, 150)]
    assert torch.allclose(encoder(" ".join(words)), torch.cat(parts, dim=1), atol=1e-5)


@pytest.mark.slow
def test_long_prompts_do_not_warn(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    fresh = copy.deepcopy(tokenizer("end"))  # a tokenizer warns once
    TextEncoder(fresh, network())(LONG)
    assert caplog.records == []
    fresh(LONG)
    assert "longer than the specified maximum" in caplog.text


def test_weights_multiply_hidden_states_and_keep_their_mean():
    encoder = text_encoder()
    z = states(encoder, "a red fox, blue snow")
    weights = torch.ones(77)
    weights[2], weights[5:7] = 1.5, 0.5  # after the start: a, red, fox, the comma, blue, snow
    expected = z * weights[:, None]
    expected *= z.mean() / expected.mean()
    found = encoder("a (red:1.5) fox, (blue snow:0.5)")
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, z, atol=1e-3)
    assert found.mean().item() == pytest.approx(z.mean().item(), rel=1e-5)


def test_weights_of_one_change_no_bit():
    encoder = text_encoder()
    assert torch.equal(encoder(r"a (red:1.0) ([fox]) \(snow\)"), states(encoder, "a red fox (snow)"))


def test_weights_stay_in_their_chunk():
    encoder = text_encoder()
    plain, found = encoder(LONG), encoder(LONG + ", (blue:2)")
    assert torch.allclose(found[:, :77], plain[:, :77], atol=1e-5)
    assert not torch.allclose(found[:, 77:], plain[:, 77:], atol=1e-3)


def test_pairs_are_of_equal_length():
    encoder = text_encoder()
    for prompts in (("blurry", LONG), (LONG, "blurry"), ("", LONG)):
        for prompt, hidden in zip(prompts, encoder.together(prompts)[:, None], strict=True):
            assert hidden.shape == (1, 154, WIDTH)
            expected = encoder(prompt) if prompt == LONG else torch.cat([encoder(prompt), encoder("")], dim=1)
            assert torch.equal(hidden, expected)


def test_pairs_of_one_length_are_what_they_are_alone():
    encoder = text_encoder()
    negative, positive = encoder.together(("blurry", "a fox"))[:, None]
    assert torch.equal(negative, encoder("blurry"))
    assert torch.equal(positive, encoder("a fox"))


@pytest.mark.parametrize(("length", "words"), [(3, 1), (16, 14), (24, 22)])
def test_short_encoders_cut_too(length, words):
    encoder = text_encoder(length=length)
    assert encoder.length == length
    text = "fox " * words
    assert torch.equal(encoder(text), states(encoder, text, length))
    assert encoder(text + "red").shape == (1, 2 * length, WIDTH)


class Short:
    """A tokenizer that names a length of its own, or none."""

    def __init__(self, length):
        self.model_max_length = length


@pytest.mark.parametrize(("named", "length"), [(10**30, 77), (24, 24), (77, 77)])
def test_the_length_is_the_smaller_one(named, length):
    assert TextEncoder(Short(named), network()).length == length


@pytest.mark.parametrize("length", [0, 2])
def test_too_short_an_encoder_is_refused(length):
    with pytest.raises(ModelError, match=rf"reads {length} tokens at once, .* are 3; choose a model"):
        TextEncoder(Short(length), network())


def test_half_precision_stays():
    encoder = text_encoder()
    half = TextEncoder(encoder.tokenizer, copy.deepcopy(encoder.encoder).to(torch.bfloat16))
    assert half("a (fox:1.3)").dtype == torch.bfloat16
    assert torch.equal(half("a fox"), states(half, "a fox"))


def test_the_last_prompts_are_encoded_once():
    plain, asked = text_encoder(), []

    class Noted:
        config, device = plain.encoder.config, plain.encoder.device

        def __call__(self, *arguments, **more):
            asked.append(1)
            return plain.encoder(*arguments, **more)

    encoder = TextEncoder(plain.tokenizer, Noted())
    prompts = [f"a {number}" for number in range(17)]
    for prompt in (*prompts[:16], *prompts[:16]):
        assert torch.equal(encoder(prompt), plain(prompt))
    assert len(asked) == 16
    encoder(prompts[16])
    encoder(prompts[1])
    assert len(asked) == 17, "the first alone had to go"
    encoder(prompts[0])
    assert len(asked) == 18
