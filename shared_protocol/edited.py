"""Texts that a person may have written or edited, in whatever editor: the marks of byte order that Notepad, PowerShell
and Excel put before a text (Unicode 15, chapter 23.8) are no part of it."""

from __future__ import annotations

import codecs

MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),  # before UTF-16's, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
"""Each with Python's name and people's for the encoding that it stands for."""
NO_UTF8 = "it is not stored as UTF-8 text: save it so in the editor"


class NoText(ValueError):
    """A file is no text that is read here. The text is a clause with the reason."""


def text_of(data: bytes, *, wide: bool = False) -> str:
    """A file's text, which is UTF-8, without a mark of byte order. Lines end as they do in the file.

    wide: UTF-16 and UTF-32 are read too, where a mark says that they are meant. Raises NoText.
    """
    for mark, encoding, name in MARKS:
        if not data.startswith(mark):
            continue
        if name != "UTF-8" and not wide:
            raise NoText(f"it is stored as {name} text: save it as UTF-8 in the editor")
        return _decoded(data[len(mark) :], encoding)
    if len(data) > 1 and b"\0" in data[:2]:  # of texts, those of two or four bytes a sign alone
        raise NoText(NO_UTF8)
    return _decoded(data, "utf-8")


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise NoText(NO_UTF8) from error
