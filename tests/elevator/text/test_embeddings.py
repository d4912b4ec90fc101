"""Textual inversion: its files, and its words in prompts against diffusers' own."""

from __future__ import annotations

import copy
import re
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from diffusers.loaders import TextualInversionLoaderMixin
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from elevator import ModelError
from elevator.text import Embedding, read_embedding
from tests.elevator.text.clip import WIDTH, network, text_encoder


def vectors(count, width=WIDTH, seed=1):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


class Pipeline(TextualInversionLoaderMixin):
    """As much of a pipeline as diffusers wants for this."""

    hf_device_map = None

    @property
    def components(self):
        return {}


@torch.inference_mode()
def diffusers_states(learned, prompt):
    """(1, 77, D), with tokens added to the tokenizer and the text encoder's embedding resized."""
    base = text_encoder()
    tokenizer, encoder, pipeline = copy.deepcopy(base.tokenizer), copy.deepcopy(base.encoder), Pipeline()
    for token, values in learned.items():
        pipeline.load_textual_inversion({token: values}, tokenizer=tokenizer, text_encoder=encoder)
    prompt = pipeline.maybe_convert_prompt(prompt, tokenizer)
    ids = tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    assert (ids >= 49408).any() or not learned
    return encoder(ids).last_hidden_state


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.slow
def test_words_equal_diffusers(count):
    learned = {"<cat-toy>": vectors(count), "<night>": vectors(2, seed=2)}
    encoder = text_encoder().with_embeddings(Embedding(*item) for item in learned.items())
    for prompt in ("a photo of <cat-toy> in a hat, <night>", "<night> <night> <cat-toy>", "<cat-toy>"):
        assert torch.equal(encoder(prompt), diffusers_states(learned, prompt))


@pytest.mark.slow
def test_a_single_vector_may_be_flat(tmp_path):
    save_file({"<toy>": vectors(1)[0]}, tmp_path / "a.safetensors")
    encoder = text_encoder().with_embeddings([read_embedding(tmp_path / "a.safetensors")])
    assert torch.equal(encoder("a <toy>"), diffusers_states({"<toy>": vectors(1)[0]}, "a <toy>"))


def test_the_base_is_untouched_and_shares_its_weights():
    base = text_encoder()
    before, keys = base("a toy"), list(base.encoder.state_dict())
    encoder = base.with_embeddings([Embedding("toy", vectors(2))])
    assert not torch.equal(encoder("a toy"), before)
    assert torch.equal(base("a toy"), before)
    assert list(base.encoder.state_dict()) == keys
    assert encoder.encoder is base.encoder
    assert torch.equal(encoder.with_embeddings(())("a toy"), before)
    own = {parameter.data_ptr() for parameter in base.encoder.parameters()}
    assert {parameter.data_ptr() for parameter in encoder._reader.parameters()} == own


def test_prompts_without_the_word_are_bitwise_the_bases():
    encoder = text_encoder().with_embeddings([Embedding("toy", vectors(2))])
    for prompt in ("a red (fox:1.2)", "toys, a toyshop and a robotoy", ""):
        assert torch.equal(encoder(prompt), text_encoder()(prompt))


@pytest.mark.parametrize(
    ("token", "prompt", "same"),
    [
        ("EasyNegative", "a easynegative, b", "a <x>, b"),
        ("EasyNegative", "a EASYNEGATIVE", "a <x>"),
        ("EasyNegative", "a embedding:easynegative, b", "a <x>, b"),
        ("my style", "a cat, My  Style!", "a cat, <x>!"),
        ("bad-hands", "bad-hands", "<x>"),
        ("a+b (c)", r"x a+b \(c\) y", "x <x> y"),
        ("s", "a ſ b", "a <x> b"),
    ],
)
def test_how_words_are_found(token, prompt, same):
    base, values = text_encoder(), vectors(2)
    expected = base.with_embeddings([Embedding("<x>", values)])(same)
    assert torch.equal(base.with_embeddings([Embedding(token, values)])(prompt), expected)
    assert not torch.equal(expected, base(prompt))


def test_longer_names_win():
    short, long = Embedding("bad", vectors(1)), Embedding("bad hands", vectors(2))
    encoder = text_encoder().with_embeddings([short, long])
    alone = text_encoder().with_embeddings([long])
    assert torch.equal(encoder("bad hands"), alone("bad hands"))
    assert not torch.equal(encoder("bad feet"), alone("bad feet"))


def test_weights_apply_to_every_vector():
    encoder = text_encoder().with_embeddings([Embedding("toy", vectors(3))])
    z, weights = encoder("a toy hat"), torch.ones(77)
    weights[2:5] = 1.4
    expected = z * weights[:, None]
    expected *= z.mean() / expected.mean()
    assert torch.allclose(encoder("a (toy:1.4) hat"), expected, atol=1e-5)


def test_vectors_stay_in_one_chunk():
    encoder = text_encoder().with_embeddings([Embedding("toy", vectors(10))])
    found = encoder("fox " * 70 + "toy")
    assert found.shape == (1, 154, WIDTH)
    assert torch.allclose(found, torch.cat([encoder("fox " * 70), encoder("toy")], dim=1), atol=1e-5)


def test_unknown_words_are_noted():
    encoder = text_encoder().with_embeddings([Embedding("<toy>", vectors(1)), Embedding("night", vectors(1, seed=2))])
    assert encoder.notes("a <TOY>, (embedding:night:1.2), I <3 night") == ()
    first, *rest = encoder.notes("BREAK <toys>, (embedding:day:1.2), <toys>")
    assert first.startswith("BREAK")
    assert rest == [
        f"No embedding {name} is loaded and it is read as plain words; add its file or leave it out."
        for name in ("<toys>", "embedding:day")
    ]


@pytest.mark.slow
def test_embeddings_that_do_not_fit_are_refused():
    base = text_encoder()
    with pytest.raises(ModelError, match=r"toy is for SD 2\.x \(1024 wide\) .* \(16 wide\); choose one made for this"):
        base.with_embeddings([Embedding("toy", vectors(1, 1024))])
    wide = text_encoder(width=768)
    with pytest.raises(ModelError, match=r"another model \(16 wide\) .* \(768 wide\); choose one made for SD 1\.x\."):
        wide.with_embeddings([Embedding("toy", vectors(1))])
    with pytest.raises(ModelError, match=r"has 76 vectors, .* reads 75 at once; choose one with fewer"):
        base.with_embeddings([Embedding("toy", vectors(76))])
    with pytest.raises(ModelError, match=r"Two embeddings are called (toy|Toy); choose one"):
        base.with_embeddings([Embedding("toy", vectors(1)), Embedding("Toy", vectors(2))])
    assert base.with_embeddings([Embedding("toy", vectors(75))])("toy fox").shape[1] == 154


def test_half_precision_takes_the_vectors_too():
    half = copy.deepcopy(network()).to(torch.bfloat16)
    encoder = type(text_encoder())(text_encoder().tokenizer, half, (Embedding("toy", vectors(2)),))
    assert encoder("a toy").dtype == torch.bfloat16


V = vectors(3)


@pytest.mark.parametrize(
    ("name", "content", "token"),
    [
        (
            "style.pt",
            {"string_to_token": {"*": 265}, "string_to_param": {"*": V}, "name": "my  film", "step": 9},
            "my film",
        ),
        ("style.pt", {"string_to_param": {"*": nn.Parameter(V)}, "name": "*"}, "style"),
        ("two words.pt", {"string_to_param": {"*": V}, "name": None}, "two words"),
        ("first.pt", {"string_to_param": nn.ParameterDict({"*": nn.Parameter(V)})}, "first"),
        ("learned_embeds.bin", {"<cat>": V}, "<cat>"),
        ("half.bin", {"<cat>": V.half()}, "<cat>"),
        ("learned.safetensors", {"<cat>": V}, "<cat>"),
        ("film.v2.safetensors", {"emb_params": V}, "film.v2"),
    ],
)
def test_files_are_read(tmp_path, name, content, token):
    (save_file if name.endswith("safetensors") else torch.save)(content, tmp_path / name)
    embedding = read_embedding(tmp_path / name)
    assert embedding.token == token
    assert embedding.vectors.dtype == torch.float32
    assert not embedding.vectors.requires_grad
    assert torch.equal(embedding.vectors, V.half().float() if name == "half.bin" else V)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.safetensors", {"clip_l": V, "clip_g": V + 1}, "for SDXL; choose one made for SD 1.x or 2.x"),
        ("a.safetensors", {"a": V, "b": V + 1}, "not an embedding of one word"),
        ("a.bin", V, "no weights by name"),
        ("a.pt", {"string_to_param": {}}, "no weights by name"),
        ("a.pt", {"string_to_param": 3}, "no weights by name"),
        ("a.bin", {"a": 3}, "no weights by name"),
        ("a.bin", {"a": torch.ones(2, dtype=torch.int64)}, "no vectors of a word"),
        ("a.bin", {"a": torch.ones(2, 2, 2)}, "no vectors of a word"),
        ("a.bin", {"a": torch.ones(0, 4)}, "empty or not finite"),
        ("a.bin", {"a": torch.tensor([1.0, float("nan")])}, "empty or not finite"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    (save_file if name.endswith("safetensors") else torch.save)(content, tmp_path / name)
    with pytest.raises(ModelError, match=message):
        read_embedding(tmp_path / name)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no file at .*nothing\.pt; choose a model file"):
        read_embedding(tmp_path / "nothing.pt")
    with pytest.raises(ModelError, match="no file at"):
        read_embedding(tmp_path)


class Payload:
    """Pickled, it is a call that writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["evil.pt", "evil.bin"])
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_does_not_run(tmp_path, name, zipped):
    torch.save({"<cat>": Payload(tmp_path / "ran")}, tmp_path / name, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"holds code .* and is refused"):
        read_embedding(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / name, weights_only=False)
    assert (tmp_path / "ran").exists(), "the payload is one"


def test_a_pickle_whose_numbers_are_missing_is_refused(tmp_path):
    torch.save({"<cat>": V}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "old.pt").read_bytes()
    head, key, tail = content.rpartition(re.findall(rb"\d{9,}", content)[-1])
    (tmp_path / "old.pt").write_bytes(head + bytes(reversed(key)) + tail)
    with pytest.raises(ModelError, match="not a readable PyTorch file; download or copy it again"):
        read_embedding(tmp_path / "old.pt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(st.data())
def test_broken_files_are_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    zipped, name = data.draw(st.sampled_from([(True, "a.pt"), (False, "a.pt"), (None, "a.safetensors")]))
    path = folder / name
    if zipped is None:
        save_file({"emb_params": V}, path)
    else:
        torch.save({"string_to_param": {"*": V}, "name": "a"}, path, _use_new_zipfile_serialization=zipped)
    content = bytearray(path.read_bytes()[: data.draw(st.integers(0, 400))])
    for position in data.draw(st.lists(st.integers(0, 399), max_size=4)):
        if position < len(content):
            content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(ModelError):
        read_embedding(path)


def a1111(path, name):
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": V}, "name": name}, path)
    return read_embedding(path)


@pytest.mark.parametrize(
    "prompt",
    [
        "badhands, blurry",
        "BadHands, blurry",
        "embedding:badhands, blurry",
        "embedding:badhands.pt, blurry",
        "<badhands>, blurry",
        "training-run-7, blurry",
        "<training-run-7>, blurry",
    ],
)
def test_an_embedding_has_the_name_in_its_file_and_the_files(tmp_path, prompt):
    """The web UI and ComfyUI go by the file's name, which is what its page tells."""
    encoder = text_encoder().with_embeddings([a1111(tmp_path / "badhands.pt", "training-run-7")])
    expected = text_encoder().with_embeddings([Embedding("<x>", V)])("<x>, blurry")
    assert torch.equal(encoder(prompt), expected)
    assert encoder.notes(prompt) == ()


def test_names_that_differ_in_case_alone_are_one(tmp_path):
    assert a1111(tmp_path / "BadHands.pt", "badhands").aliases == ()
    assert a1111(tmp_path / "two words.pt", "x").aliases == ("two words",)


@pytest.mark.parametrize("name", ["learned_embeds.bin", "model.bin"])
def test_a_name_that_any_file_has_is_none(tmp_path, name):
    torch.save({"<cat>": V}, tmp_path / name)
    assert read_embedding(tmp_path / name).aliases == ()


def test_the_name_inside_goes_before_another_ones_file(tmp_path):
    first, second = a1111(tmp_path / "day.pt", "night"), Embedding("day", vectors(2, seed=9))
    encoder = text_encoder().with_embeddings([first, second])
    assert torch.equal(encoder("a day"), text_encoder().with_embeddings([second])("a day"))
    assert torch.equal(encoder("a night"), text_encoder().with_embeddings([first])("a night"))
    assert encoder.notes("a day, a night") == ()


def test_a_files_name_that_two_have_does_nothing_and_is_said(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    both = [a1111(tmp_path / folder / "hands.pt", f"run-{folder}") for folder in ("one", "two")]
    encoder = text_encoder().with_embeddings(both)
    for prompt in ("hands", "(Hands:1.2)", "embedding:hands"):
        assert torch.equal(encoder(prompt), text_encoder()(prompt))
        assert encoder.notes(prompt) == (
            "“hands” is the file's name of several embeddings and is read as plain words; write run-one or run-two.",
        )
    assert encoder.notes("run-one, run-two, handshake") == ()


def test_brackets_that_do_not_close_stay_in_the_prompt(tmp_path):
    encoder = text_encoder().with_embeddings([Embedding("toy", V)])
    assert not torch.equal(encoder("<toy"), encoder("toy"))
    assert not torch.equal(encoder("toy>"), encoder("toy"))
    assert torch.equal(encoder("<toy>"), encoder("toy"))


@pytest.mark.parametrize("place", ["clip_l", "text_encoders_0", "emb_params"])
def test_the_name_of_a_text_encoder_is_no_word(tmp_path, place):
    """Files for several text encoders name the vectors by these; prompts go by the file's name."""
    save_file({place: vectors(2)}, tmp_path / "toy.safetensors")
    read = read_embedding(tmp_path / "toy.safetensors")
    assert (read.token, read.aliases) == ("toy", ())


def test_numbers_beside_emb_params_are_left_out(tmp_path):
    save_file({"emb_params": vectors(2), "step": torch.tensor(500)}, tmp_path / "toy.safetensors")
    assert torch.equal(read_embedding(tmp_path / "toy.safetensors").vectors, vectors(2))
