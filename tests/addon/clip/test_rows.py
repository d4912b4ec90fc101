"""Tables of clips, as scripts in Blender read them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from backend.cli import batch_file
from backend.client.wish import Wish as TheirWish
from blender_addon.clip import rows
from blender_addon.clip.rows import RowError, records, row
from blender_addon.clip.wish import Wish
from shared_protocol.messages import LoraChoice

TABLE = """\ufeffprompt,style,frames,seed,guidance,lowpass.method,lora,frame_start
a red fox in snow,sketch,16,3,,,,
,,,,,,,
"a cat, moving up",plain,,,9,none,ink.safetensors:0.8|paper,100
"""


def test_a_table_is_read() -> None:
    one, two = (row(record) for record in records(TABLE.encode(), "shots.csv"))
    assert one == rows.Row({"prompt": "a red fox in snow", "style": "sketch", "frames": 16, "seed": 3})
    assert two.wish["prompt"] == "a cat, moving up"
    assert two.wish["settings"] == {"guidance": 9, "lowpass": {"method": "none"}}
    assert two.wish["loras"] == (LoraChoice(name="ink.safetensors", weight=0.8), LoraChoice(name="paper"))
    assert two.frame_start == 100
    assert "seed" not in two.wish


def test_lines_of_json_are_read() -> None:
    text = '{"prompt": "a fox", "lora": ["ink:0.5", ["paper", 2]], "blend": true}\n\n{"prompt": "a hare"}\n'
    one, two = (row(record) for record in records(text.encode(), "shots.jsonl"))
    assert one.wish["loras"] == (LoraChoice(name="ink", weight=0.5), LoraChoice(name="paper", weight=2.0))
    assert one.wish["settings"] == {"blend": True}
    assert two.wish == {"prompt": "a hare"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_command_reads_the_same_from_the_same_file(tmp_path: Path, delimiter: str) -> None:
    table = TABLE.replace(",frame_start", "").replace(",100", "").replace(",,,,,,,", ",,,,,,")
    table = table.replace("a cat, moving up", "a cat moving up").replace(",", delimiter)
    file = tmp_path / "prompts.csv"
    file.write_text(table, encoding="utf-8")
    theirs, wrong = batch_file.read_rows(file, TheirWish(""), None)
    assert not wrong
    ours = [row(record) for record in records(file.read_bytes(), file.name)]
    both = {field.name for field in fields(Wish)} & {field.name for field in fields(TheirWish)} - {"seed"}
    for mine, command in zip(ours, theirs, strict=True):
        for name in both & mine.wish.keys():
            assert mine.wish[name] == getattr(command.wish, name), name


def test_every_column_of_the_command_is_known() -> None:
    assert batch_file._COLUMNS.keys() <= set(rows.COLUMNS)
    assert set(rows.COLUMNS) - batch_file._COLUMNS.keys() == {"frame_start", "channel"}


def test_decimal_commas_where_semicolons_separate() -> None:
    (only,) = records(b"prompt;guidance\na;7,5\n", "shots.csv")
    assert row(only).wish["settings"] == {"guidance": 7.5}


def test_a_lora_may_be_an_object_of_the_protocol() -> None:
    ink = LoraChoice(name="ink", weight=0.5)
    assert row({"lora": (ink, "paper", ("oil", 2))}).wish["loras"] == (
        ink,
        LoraChoice(name="paper"),
        LoraChoice(name="oil", weight=2.0),
    )


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "number": ({"frames": "many"}, "frames: 'many' is no whole number: write it like 16."),
    "fraction": ({"frames": 1.5}, "frames: 1.5 is no whole number: write it like 16."),
    "text": ({"prompt": 3}, "prompt: 3 is no text."),
    "lora": ({"lora": "ink:heavy"}, "lora: 'ink:heavy' is no LoRA: write it like ink.safetensors:0.8."),
    "truth": ({"frames": True}, "frames: True is no whole number: write it like 16."),
    "several": ({"lora": [3]}, "lora: 3 is no LoRA: write it like ink.safetensors:0.8."),
    "footage": ({"footage": "a.mp4"}, 'The column "footage" is for the command line: in an edit, footage is a strip.'),
    "strength": ({"strength": 0.5}, 'The column "strength" is for the command line: in an edit, footage is a strip.'),
    "anchor": ({"anchor": "a.png"}, 'The column "anchor" is for the command line: in an edit, footage is a strip.'),
    "settings": ({"lowpass": 1, "lowpass.method": "box"}, 'The columns "lowpass.method" and "lowpass" contradict'),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_said(name: str) -> None:
    record, sentence = WRONG[name]
    with pytest.raises(RowError) as caught:
        row(record)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prompt,prompt\na,b\n", 'It cannot be used: it has two columns "prompt".'),
        ("prompt\na,b\n", "Line 2: It has 2 cells, but the header 1:"),
        ('prompt\n"a\n', "It cannot be used: line 2: a quotation mark"),
    ],
)
def test_a_table_that_cannot_be_read_is_said(text: str, sentence: str) -> None:
    with pytest.raises(RowError) as caught:
        records(text.encode(), "shots.csv")
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "Line 1: At its character 2 it is no JSON"),
        ("3", "Line 1: It is no clip"),
        ("[3]", "Line 1: It is no clip"),
    ],
)
def test_a_line_that_is_no_object_is_said(text: str, sentence: str) -> None:
    with pytest.raises(RowError) as caught:
        records(text.encode(), "shots.jsonl")
    assert str(caught.value).startswith(sentence)


def test_rate_and_folder_say_nothing_here() -> None:
    assert row({"prompt": "a", "fps": "24", "out": "fox", "style": ""}).wish == {"prompt": "a"}


def test_what_is_left_empty_is_left_out() -> None:
    only = row({"prompt": "a", "seed": None, "style": "", "frames": 16.0, "frame_start": -3, "channel": 5})
    assert only == rows.Row({"prompt": "a", "frames": 16}, frame_start=-3, channel=5)


def test_settings_may_be_tables_of_tables() -> None:
    assert rows.settings({"a.b.c": "1", "a.b.d": [2], "a.e": "x"}) == {"a": {"b": {"c": 1, "d": [2]}, "e": "x"}}


def test_cells_as_spreadsheets_write_them() -> None:
    (only,) = records(b"prompt,frames,seed,correction,\na,16.0,-1,TRUE,\n", "shots.csv")
    assert row(only).wish == {"prompt": "a", "frames": 16, "settings": {"correction": True}}
