"""Lists of clips in the formats that people have: RFC 4180, JSON (RFC 8259), JSON lines, a prompt a line."""

from __future__ import annotations

import codecs
import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_protocol import tables
from shared_protocol.tables import TableError, plain_number, read, truth

NO_LINE_ENDS = {
    "VT": "\v",
    "FF": "\f",
    "FS": "\x1c",
    "GS": "\x1d",
    "RS": "\x1e",
    "NEL": "\x85",
    "LS": "\u2028",
    "PS": "\u2029",
}
"""What `str.splitlines` takes for the end of a line, and RFC 4180 does not."""


def rows(text: str | bytes, name: str = "shots.csv") -> list[Any]:
    return [line.content for line in read(text.encode() if isinstance(text, str) else text, name)]


def numbers(text: str, name: str = "shots.csv") -> list[int]:
    return [line.number for line in read(text.encode(), name)]


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("sign", NO_LINE_ENDS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_only_cr_and_lf_end_a_row(sign: str, end: str, quoted: bool) -> None:
    cell = f"a fox{NO_LINE_ENDS[sign]}in snow"
    written = f'"{cell}"' if quoted else cell
    text = end.join(["prompt,seed", f"{written},7", "a cat,1", ""])
    assert rows(text) == [{"prompt": cell, "seed": "7"}, {"prompt": "a cat", "seed": "1"}]
    assert numbers(text) == [2, 3]


SIGNS = st.text(st.sampled_from('ab,;"\t\n\r \u2028\x85\v'), max_size=6)


@given(st.lists(st.tuples(SIGNS, SIGNS), max_size=4), st.sampled_from(",;\t"))
def test_what_pythons_csv_writes_is_read(cells: list[tuple[str, str]], delimiter: str) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerows([("prompt", "style"), *cells])
    wanted = [{"prompt": one.strip(), "style": two.strip()} for one, two in cells if one.strip() or two.strip()]
    assert rows(file.getvalue()) == wanted


def test_a_cell_in_quotes_may_have_lines_and_quotation_marks() -> None:
    text = 'prompt,frames\r\n"a ""red"" fox,\r\nin snow",4\r\na cat,2\r\n'
    assert rows(text)[0] == {"prompt": 'a "red" fox,\r\nin snow', "frames": "4"}
    assert numbers(text) == [3, 4]


@pytest.mark.parametrize(
    "text",
    [
        "prompt,frames,,\na fox,2,,\na cat,2,,\n",
        "prompt;frames;\na fox;2;\na cat;2;\n",
        "prompt,,frames\na fox,,2\na cat,,2\n",
        ",prompt,frames\n0,a fox,2\n1,a cat,2\n",  # pandas' to_csv: the count of the rows, without a name
        "sep=;\r\nprompt;frames\r\na fox;2\r\na cat;2\r\n",  # which tells Excel the delimiter
        "\ufeffprompt\tframes\na fox\t2\na cat\t2\n",
        "\n\n Prompt , FRAMES\na fox, 2\n,,\na cat,2",
    ],
)
def test_columns_without_a_name_and_cells_mean_nothing(text: str) -> None:
    assert rows(text) == [{"prompt": "a fox", "frames": "2"}, {"prompt": "a cat", "frames": "2"}]


def test_what_separates_cells_is_as_the_table_says() -> None:
    """Whatever its header has more of."""
    assert rows("sep=;\nprompt;a,b,c\na fox;2\n") == [{"prompt": "a fox", "a,b,c": "2"}]
    assert rows('"sep=,"\nprompt,a;b;c\na fox,2\n') == [{"prompt": "a fox", "a;b;c": "2"}]


def test_something_below_no_name_is_said() -> None:
    assert rows("prompt,frames,\na fox,2,7\n") == ["Its cell 3 says '7', but the header has no name there."]
    (said,) = rows("prompt\na fox,2\n")
    assert said.startswith("It has 2 cells, but the header 1: put a text that holds what separates cells into")


def test_names_of_columns_may_be_written_as_people_do() -> None:
    assert rows("Prompt,Negative Prompt\na fox,snow\n") == [{"prompt": "a fox", "negative_prompt": "snow"}]


def test_decimal_commas_are_points_where_semicolons_separate() -> None:
    assert rows("prompt;guidance\na, b;7,5\n") == [{"prompt": "a, b", "guidance": "7.5"}]
    assert rows('prompt,guidance\na,"7,5"\n') == [{"prompt": "a", "guidance": "7,5"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_a_mark_tells_are_read(encoding: str) -> None:
    """Excel's "Unicode Text" is UTF-16 with tabs."""
    assert rows("prompt\tframes\r\nein Füchslein\t2\r\n".encode(encoding)) == [
        {"prompt": "ein Füchslein", "frames": "2"}
    ]
    assert rows(codecs.BOM_UTF16_BE + "prompt\nfée\n".encode("utf-16-be")) == [{"prompt": "fée"}]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson", "a.csv", "a.txt"])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_is_known_as_such(name: str, indent: int | None) -> None:
    clips = [{"prompt": "a fox", "frames": 2}, {"prompt": "a [cat], {seen}", "refine": [9, 4]}]
    assert rows(json.dumps(clips, indent=indent), name) == clips
    assert rows(json.dumps(clips[0], indent=indent), name) == clips[:1]
    lines = "\r\n".join(map(json.dumps, clips))
    assert rows(lines, name) == clips
    assert rows(f"\ufeff{lines}\n", name) == clips


def test_lines_of_a_list_in_json_are_counted() -> None:
    assert numbers('[\n {"prompt": "a"},\n\n {"prompt":\n "b"}\n]', "a.json") == [2, 4]
    assert rows('[1, {"prompt": "a"}]', "a.json") == [
        "It is no clip: write a prompt in quotes, or {…}.",
        {"prompt": "a"},
    ]
    assert rows('["a fox", {"prompt": "a"}]', "a.json") == [{"prompt": "a fox"}, {"prompt": "a"}]
    assert rows("[]", "a.json") == rows(" ", "a.json") == rows("", "a.jsonl") == []


def test_a_sign_within_a_line_of_json_ends_no_line() -> None:
    text = '{"prompt": "a\u2028b\x85c"}\n'
    assert rows(text, "a.jsonl") == [{"prompt": "a\u2028b\x85c"}]


def test_a_text_may_have_a_prompt_a_line() -> None:
    text = "\ufeffa fox, in snow\r\n\r\n{a|b} cat; {c}\n[a] dog"
    assert rows(text, "prompts.txt") == [
        {"prompt": "a fox, in snow"},
        {"prompt": "{a|b} cat; {c}"},
        {"prompt": "[a] dog"},
    ]
    assert numbers(text, "prompts.txt") == [1, 3, 4]
    assert rows("prompt\tframes\na fox\t2\n", "table.txt") == [{"prompt": "a fox", "frames": "2"}]


@pytest.mark.parametrize("line", ['--prompt "a fox" --steps 20', "positive: a fox", "negative: blurry", "----"])
def test_lists_for_other_tools_are_told(line: str) -> None:
    (said,) = rows(f"{line}\n", "prompts.txt")
    assert "another tool" in said


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PK\x03\x04\x14\x00", "workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "workbook"),
        (b"%PDF-1.7", "PDF"),
        ("prompt\né\n".encode("cp1252"), "UTF-8"),
        ("prompt\nx\n".encode("utf-16-le"), "UTF-8"),
        (b'prompt\n"open\n', "line 2: a quotation mark opens a cell that is never closed"),
        (b'prompt,style\n"a "fox"",plain\n', "line 2: a quotation mark stands inside"),
        (b"prompt,Prompt\na,b\n", 'two columns "prompt"'),
    ],
)
def test_what_cannot_be_read_is_named_for_what_it_is(data: bytes, says: str) -> None:
    with pytest.raises(TableError, match=says):
        rows(data)


def test_a_damaged_list_in_json_is_told_with_its_line() -> None:
    with pytest.raises(TableError, match="line 2: at its character 12 it is no JSON, in which texts"):
        rows('[\n{"prompt": }]', "a.json")
    with pytest.raises(TableError, match="nested too deeply"):
        rows("[" * 100_000, "a.json")
    assert rows("{\n", "a.jsonl")[0].startswith("At its character 2 it is no JSON")


def test_a_line_of_json_that_is_nested_too_deeply_is_said() -> None:
    lines = '{"a":' * 100_000 + '\n{"prompt": "b"}\n'
    assert rows(lines, "a.jsonl") == ["It is nested too deeply.", {"prompt": "b"}]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_name_that_stands_twice_is_said(name: str) -> None:
    """RFC 8259, section 4: which of the two counts, no rule says."""
    doubled = '{"prompt": "a fox", "prompt": "a cat"}'
    assert rows(f'{doubled}\n{{"prompt": "a"}}', "a.jsonl") == ['It says "prompt" twice.', {"prompt": "a"}]
    assert rows(doubled, name) == rows(f"[{doubled}]", name) == ['It says "prompt" twice.']


@pytest.mark.parametrize("text", ["[{0}]", '[{{"seed": {0}}}]', '{{"seed": {0}}}'])
def test_a_number_of_more_digits_than_python_reads_is_said(text: str) -> None:
    try:
        (said,) = rows(text.format("9" * 5000), "a.json")
    except TableError as error:
        said = str(error)
    assert said.lower().startswith("it holds a number of too many digits")


def test_marks_before_lines_of_json_are_no_part_of_them() -> None:
    """RFC 7464: each text of a sequence begins with RS."""
    assert rows('\x1e{"prompt": "a"}\n\x1e{"prompt": "b"}\n', "a.jsonl") == [{"prompt": "a"}, {"prompt": "b"}]


def test_tables_of_markdown_are_read() -> None:
    """GitHub's specification, section 4.10: a line of dashes is below the header."""
    text = "\n| prompt | frames |\n|:---|---:|\n| a fox, red | 4 |\n| a cat | 2 |\n"
    wanted = [{"prompt": "a fox, red", "frames": "4"}, {"prompt": "a cat", "frames": "2"}]
    assert rows(text, "shots.md") == rows("prompt|frames\na fox, red|4\na cat|2\n") == wanted
    assert numbers(text, "shots.md") == [4, 5]


@pytest.mark.parametrize("before", ["# my shots, of today\n", "\n# a; b\n#c\n", "#\nsep=;\n"])
def test_comments_before_the_header_mean_nothing(before: str) -> None:
    assert rows(f"{before}prompt;frames\n# a fox;4\n") == [{"prompt": "# a fox", "frames": "4"}]
    assert numbers(f"{before}prompt;frames\na fox;4\n") == [before.count("\n") + 2]


def test_a_column_may_be_called_by_the_sign_of_comments() -> None:
    assert rows("#,prompt\n1,a fox\n") == [{"#": "1", "prompt": "a fox"}]


def test_comments_in_a_list_of_prompts_are_no_prompts() -> None:
    assert rows("# foxes\na fox\n", "prompts.txt") == [{"prompt": "a fox"}]


@pytest.mark.parametrize("sign", ["\ufeff", "\u200b", "\u2060"])
def test_what_is_not_seen_in_a_columns_name_is_no_part_of_it(sign: str) -> None:
    assert rows(f"\ufeff{sign}prompt,fra{sign}mes\na fox,2\n") == [{"prompt": "a fox", "frames": "2"}]


@pytest.mark.parametrize(
    "data", [b"SQLite format 3\0prompt", "prompt\na fox\n".encode("utf-16-le")[1:], b"prompt\na\0b\n"]
)
def test_what_holds_nul_is_no_text(data: bytes) -> None:
    with pytest.raises(TableError, match=r"NUL|not stored as UTF-8"):
        rows(data)


def test_the_columns_are_told_before_any_row() -> None:
    """So that a file that is no table is not one without rows."""
    told: list[Any] = []
    assert list(read(b"<html>,,\n", "a.html", told.extend)) == []
    assert told == ["<html>"]


def test_a_cell_without_an_end_is_said_in_words() -> None:
    with pytest.raises(TableError, match="line 2: a cell has more than 131072 signs; perhaps a quotation"):
        rows('prompt\n"' + "a" * 131_073 + '"\n')


@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}",:;\t\n\r a1sep=')).map(str.encode))
def test_whatever_the_file_holds_is_rows_or_said(data: bytes) -> None:
    for name in ("a.csv", "a.json", "a.jsonl", "a.txt"):
        try:
            found = list(read(data, name))
        except TableError:
            continue
        assert all(isinstance(line.content, str | dict) and line.number >= 1 for line in found)


def test_whole_numbers_as_spreadsheets_write_them() -> None:
    cells = {
        "16.0": "16",
        "16.00": "16",
        "-3.0": "-3",
        "16": "16",
        "16.5": "16.5",
        ".0": ".0",
        "a.0": "a.0",
        "1.": "1.",
    }
    assert {cell: plain_number(cell) for cell in cells} == cells
    assert [truth(cell) for cell in ("TRUE", "false", "wahr")] == [True, False, None]


def test_delimiters_are_those_that_documents_name() -> None:
    assert tables.DELIMITERS == ",;\t|"
