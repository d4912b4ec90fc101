"""CLIP's vocabulary against ids from elsewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

from elevator.text.tokenizer import tokenizer

# Recorded with SimpleTokenizer of open_clip_torch 3.3.0, which is OpenAI's own code for CLIP; without start and end.
RECORDED = {
    "": [],
    "a photo of a cat": [320, 1125, 539, 320, 2368],
    "A Pumpkin, moving RIGHT!": [320, 8842, 267, 3584, 1155, 256],
    "hi! wow!!! (really?)": [1883, 256, 2781, 995, 263, 1414, 9626],
    "1girl, 8k, 1920x1080 at 50%": [
        272,
        1611,
        267,
        279,
        330,
        267,
        272,
        280,
        273,
        271,
        343,
        272,
        271,
        279,
        271,
        536,
        276,
        271,
        260,
    ],
    "café über naïve Ærøskøbing": [15304, 6522, 1516, 1097, 35689, 563, 42495, 81, 17483, 909, 17483, 5665],
    "cafe\u0301": [15304],
    "🎃 on fire 🔥": [16780, 525, 1769, 3016],
    "  double  spaces  ": [3200, 9006],
    "two\nlines\tand tabs\r\n": [1237, 3418, 537, 29163],
    "don't we'll I'M they've": [847, 713, 649, 1342, 328, 880, 889, 1200],
    "東京の夜": [48338, 21078, 105, 21575, 23170, 506],
    "Привет, мир": [26302, 16370, 29503, 110, 22176, 141, 480, 267, 38018, 16701, 141, 478],
    "hello_world #tag @user": [3306, 318, 1002, 258, 3640, 287, 7031],
    "trending on artstation, by greg rutkowski, octane render:1.2": [
        6087,
        525,
        1486,
        2631,
        267,
        638,
        7943,
        14973,
        17649,
        267,
        43040,
        13024,
        281,
        272,
        269,
        273,
    ],
    "½ ² Ⅷ": [33613, 41175, 158, 227, 371],
    "İstanbul STRASSE ß": [328, 16384, 11231, 1894, 8938, 127, 509],
    "a\xa0b\u3000c": [320, 321, 322],
    "zero\u200bwidth": [5848, 9844, 23571],
    "नमस्ते": [3124, 101, 48254, 28505, 19389, 27263, 25130],
}


@pytest.mark.parametrize("padding", ["end", "zero"])
@pytest.mark.parametrize("prompt", RECORDED)
def test_prompts_become_the_ids_that_open_clip_gives(prompt, padding):
    assert tokenizer(padding)(prompt, add_special_tokens=False).input_ids == RECORDED[prompt]


@pytest.mark.parametrize(("padding", "pad"), [("end", 49407), ("zero", 0)])
def test_start_end_and_padding(padding, pad):
    tokens = tokenizer(padding)("cat!", padding="max_length", max_length=6)
    assert tokens.input_ids == [49406, 2368, 256, 49407, pad, pad]
    assert tokens.attention_mask == [1, 1, 1, 1, 0, 0]
    assert (tokenizer(padding).pad_token_id, tokenizer(padding).model_max_length) == (pad, 77)


def test_the_vocabulary_is_whole():
    vocabulary = tokenizer("end").get_vocab()
    assert sorted(vocabulary.values()) == list(range(49408))
    assert [vocabulary[token] for token in ("!", "!</w>", ",</w>", "i", "in", "<|endoftext|>")] == [
        0,
        256,
        267,
        72,
        512,
        49407,
    ]


def test_ids_become_text_again():
    assert tokenizer("end").decode(RECORDED["A Pumpkin, moving RIGHT!"]) == "a pumpkin , moving right !"


def test_it_is_made_once():
    assert tokenizer("zero") is tokenizer("zero")
    assert tokenizer("zero") is not tokenizer("end")


@pytest.mark.parametrize("module", ["elevator.text", "elevator.text.prompt"])
def test_the_syntax_needs_no_torch(module):
    code = (
        f"import {module}, sys; from elevator.text import parse; parse('(a:2)'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
