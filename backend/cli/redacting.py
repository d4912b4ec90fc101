"""Takes out of texts what nobody else should read. Pure: what is known of this user and machine is told.

What is known (keys, prompts, names) is looked for in every form in which a log may have it. What is not known is told
by its look: see `telltale`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..logs import visible
from .telltale import (
    GONE,
    HOME,
    names_a_secret,
    not_after,
    without_addresses,
    without_files,
    without_keys,
    without_paths,
    without_tokens,
    without_urls,
)

SHORTEST_PROMPT = 3
"""Prompts of fewer letters than this are not looked for: they would be found in every word."""
SHORTEST_NAME = 3
"""The same of the names of a user's files."""
NOBODY = ("", "root", "localhost")
"""Names that say nothing about a person or a machine."""
_PROMPT = re.compile(
    r"(?i)(prompts?\b[^:=\n]{0,60}[:=]\s*|\bjob [0-9a-f]{32}: (?=['\"])|part of your input was truncated).*"
)
"""Where a log tells a prompt, as it does if asked, and as a library does."""
_CLIENT = re.compile(r"(A client has (?:come|gone): ).*")
_REFUSED_FILE = re.compile(r"((?:The style file|A style's picture) [^\n]*?(?:is skipped|is not shown): )([^\n]*)")
_HIDDEN = re.compile(r"(?i)(?:^|_)(?:prompts?|secret|token|password|client)$|_key$")
"""Names of values that are never shown."""
_QUOTED = re.compile(r"“([^”]*)”|\"([^\"]*)\"|'([^']*)'")
_LITERAL = re.compile(r"([“\"'`])([^“”\"'`\n]*)([”\"'`])|(\bonly )([^\n]+)")
_FRAME = re.compile(r"frame_\d+\.png")


class Redactor:
    """Takes out of text what nobody else should read."""

    def __init__(
        self,
        *,
        secrets: Iterable[str] = (),
        prompts: Iterable[str] = (),
        names: Iterable[str] = (),
        homes: Iterable[Path] = (),
        folders: Mapping[str, Path] | None = None,
        files: Mapping[str, str] | None = None,
        shipped: Iterable[str] = (),
        modules: Iterable[str] = (),
    ):
        """`secrets`: keys. `names`: of users and machines. `homes`: folders of users.

        `folders`: those that may be told, by what they are called then. `files`: the user's names for styles, models
        and the like, each with what it is. `shipped`: names of files, styles and settings that everybody has.
        `modules`: first parts of the names of Python modules.
        """
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        long_enough = {text for text in prompts if len(text.strip()) >= SHORTEST_PROMPT}
        self._prompts = sorted(long_enough, key=len, reverse=True)
        self._names = _words(name for name in names if name not in NOBODY)
        told = {**{path: label for label, path in (folders or {}).items()}, **dict.fromkeys(homes, HOME)}
        deepest_first = sorted(told, key=lambda path: len(str(path)), reverse=True)
        self._folders = [
            (re.compile(rf"{re.escape(form)}(?![\w-])(?!\.\w)"), told[path])
            for path in deepest_first
            if len(path.parts) > 1
            for form in _forms(str(path))
        ]
        self._shipped = {name.lower() for name in shipped}
        self._modules = {name.lower() for name in modules}
        self._files = {
            name.lower(): f"«{kind} {number}»"
            for number, (name, kind) in enumerate(sorted((files or {}).items()), 1)
            if len(name) >= SHORTEST_NAME and not name.isdecimal() and name.lower() not in self._shipped
        }
        self._file_names = _words(self._files)

    def text(self, text: str) -> str:
        """The text without them."""
        for found in (*self._secrets, *self._prompts):
            for form in _forms(found):
                text = text.replace(form, GONE)
        text = _PROMPT.sub(rf"\1{GONE}", text)
        text = _CLIENT.sub(r"\1«client»", text)
        text = _REFUSED_FILE.sub(self._refusal, text)
        text = _QUOTED.sub(self._quoted, text)
        text = without_urls(without_tokens(text))
        for folder, label in self._folders:
            text = folder.sub(label, text)
        text = self.names(without_paths(text))
        if self._file_names is not None:
            text = self._file_names.sub(lambda match: self._files[match[0].lower()], text)
        text = without_keys(without_files(text, self._is_shipped))
        return without_addresses(text, self._modules.__contains__)

    def names(self, text: str) -> str:
        """The text without names of users and machines, and with all else: for versions."""
        return text if self._names is None else self._names.sub("«name»", text)

    def value(self, value: Any) -> Any:
        """The same for everything within lists and mappings. What is named a prompt or a secret goes whole."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): self._named(str(key), one) for key, one in value.items()}
            case list() | tuple():
                return [self.value(one) for one in value]
        return value

    def _named(self, key: str, value: Any) -> Any:
        hidden = isinstance(value, str) and (_HIDDEN.search(key) or names_a_secret(key))
        return GONE if hidden and value else self.value(value)

    def _quoted(self, match: re.Match[str]) -> str:
        """A quotation that is a part of a prompt, such as a word that the models do not know, is one, too."""
        inner = next(group for group in match.groups() if group is not None)
        hidden = len(inner) >= SHORTEST_PROMPT and any(inner.lower() in prompt.lower() for prompt in self._prompts)
        return match[0].replace(inner, GONE) if hidden else match[0]

    def _refusal(self, match: re.Match[str]) -> str:
        """Why a user's file was refused, without what stands in it."""

        def hide(found: re.Match[str]) -> str:
            if found[4]:  # a list of names
                ours = all(self._is_shipped(name.strip(" .")) for name in found[5].split(","))
                return found[0] if ours else f"{found[4]}{GONE}"
            return found[0] if found[2].startswith("$") or self._is_shipped(found[2]) else f"{found[1]}{GONE}{found[3]}"

        return match[1] + _LITERAL.sub(hide, match[2])

    def _is_shipped(self, name: str) -> bool:
        return name.lower() in self._shipped or _FRAME.fullmatch(name) is not None


def _words(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Finds each of the texts where it stands by itself; None if there are none."""
    escaped = sorted({re.escape(text) for text in texts}, key=len, reverse=True)
    return re.compile(rf"(?i){not_after('0-9A-Za-z')}(?:{'|'.join(escaped)})(?![0-9A-Za-z])") if escaped else None


def _forms(text: str) -> Iterable[str]:
    """The text as it stands in logs: itself, as these show it, as Python's repr does, and as JSON does."""
    as_json = (json.dumps(text, ensure_ascii=ascii_alone)[1:-1] for ascii_alone in (True, False))
    return dict.fromkeys((text, visible(text), repr(text)[1:-1], *as_json))
