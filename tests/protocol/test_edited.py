"""Marks of byte order before texts that people have edited (Unicode, chapter 23.8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_protocol.edited import MARKS, NoText, text_of


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")))
def test_a_mark_is_no_part_of_the_text(text: str) -> None:
    assert text_of(text.encode()) == text_of(text.encode("utf-8-sig")) == text
    for mark, encoding, _ in MARKS:
        assert text_of(mark + text.encode(encoding), wide=True) == text


@pytest.mark.parametrize(("encoding", "name"), [("utf-16", "UTF-16"), ("utf-32", "UTF-32")])
def test_other_encodings_are_named(encoding: str, name: str) -> None:
    with pytest.raises(NoText, match=f"stored as {name} text: save it as UTF-8"):
        text_of('title = "T"'.encode(encoding))


@pytest.mark.parametrize("data", [b"\xe9", "ab".encode("utf-16-le"), "ab".encode("utf-16-be"), b"\xef\xbb\xbf\xff"])
@pytest.mark.parametrize("wide", [False, True])
def test_what_is_no_utf8_is_said(data: bytes, wide: bool) -> None:
    with pytest.raises(NoText, match="not stored as UTF-8"):
        text_of(data, wide=wide)


def test_of_a_text_of_two_bytes_a_sign_the_first_sign_tells() -> None:
    assert text_of(b"\0") == "\0"
    assert text_of(b"ab\0") == "ab\0"
    for data in (b"a\0", b"\0a"):
        with pytest.raises(NoText):
            text_of(data)


def test_ends_of_lines_stay() -> None:
    assert text_of(b"a\r\nb\rc\n") == "a\r\nb\rc\n"
