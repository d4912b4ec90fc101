"""Tokens, addresses, names of machines and paths, as far as they can be told by their look. Pure.

Where something could be either, it goes: a report that says a little less is better than one that says too much.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Callable

GONE = "«redacted»"


def not_after(signs: str) -> str:
    """A pattern for a place that is behind none of these signs, the inside of a pattern's brackets; or behind a sign
    that a log or JSON shows by its escape, as `\\n`: what looks like a letter there is none."""
    return rf"(?:(?<![{signs}])|(?<=\\[abfnrtv0])|(?<=\\x[0-9A-Fa-f]{{2}})|(?<=\\u[0-9A-Fa-f]{{4}}))"


# Keys and tokens ----------------------------------------------------------------------------------------------

_VALUE = r"(\\*\"[^\"\n]*\"|\\*'[^'\n]*'|{})"
"""In quotes, which may be escaped, or without."""
_SAYS = r"(?:\\*[\"'])?\s*[:=]\s*"
"""Between a name and its value."""
_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)\b(" + _SAYS + r")[^\n]*")
_BEARER = re.compile(r"(?i)\b(bearer|basic)((?:\s+|:\s*|=\s*)(?:\\*[\"'])?)[^\s\"',;]+")
_TOKEN = re.compile(
    not_after("0-9A-Za-z")
    + r"(?:hf_|api_org_|sk-|pk-|rk-|sk_live_|sk_test_|r8_|gh[opsur]_|github_pat_|glpat-|xox[abeoprs]-|xapp-"
    r"|npm_|pypi-|dckr_pat_|nvapi-|gsk_|tskey-|AKIA|ASIA|AIza|ya29\.)[0-9A-Za-z_.=+/-]{6,}"
    r"|" + not_after("0-9A-Za-z_-") + r"eyJ[0-9A-Za-z_-]{6,}(?:\.[0-9A-Za-z_-]+){1,4}"
)
_PHRASE = re.compile(r"(?i)([\w.-]*(?:passwords?|passwd|passphrase|secrets?)" + _SAYS + ")" + _VALUE.format(r"[^\n]+"))
"""May have spaces in it, so all of the line goes."""
_NAMED = re.compile(
    r"(?i)([\w.-]*(?:token|(?:api|access|private|secret|signing|encryption)[_-]?keys?|credentials?|apikey|[_-]key|[_-]pwd|"
    r"(?<![a-z])(?:auth|sig|signature|pass|pwd))" + _SAYS + ")" + _VALUE.format(r"[^\s\"',;&]+")
)
_Z85 = r"0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#"
_KEY = re.compile(rf"[{_Z85}]{{40,}}")
_HARMLESS = re.compile(r"[a-z0-9_./:=()\[\]-]+")
"""A run of 40 letters without capitals and without most signs is a path or a name: chance makes no such key."""
_HEX = re.compile(not_after("0-9A-Za-z") + r"[0-9A-Fa-f]{40,}(?![0-9A-Za-z])")


def without_tokens(text: str) -> str:
    """Without what is called a token, password or key, and what looks like one."""
    for pattern in (_BLOCK, _TOKEN):
        text = pattern.sub(GONE, text)
    for pattern in (_HEADER, _BEARER):
        text = pattern.sub(rf"\1\2{GONE}", text)
    for pattern in (_PHRASE, _NAMED):
        text = pattern.sub(rf"\1{GONE}", text)
    return text


def without_keys(text: str) -> str:
    """Without keys of CURVE and hashes."""
    text = _HEX.sub(GONE, text)
    return _KEY.sub(lambda match: match[0] if _HARMLESS.fullmatch(match[0]) else GONE, text)


def names_a_secret(name: str) -> bool:
    """Whether what is called so is a secret."""
    return bool(_NAMED.match(f"{name}=x") or _PHRASE.match(f"{name}=x"))


# Addresses and names of machines ------------------------------------------------------------------------------

_URL = re.compile(not_after("0-9A-Za-z_") + r"([a-z][a-z0-9+.-]{1,15})://([^\s\"'<>“”`]+)", re.IGNORECASE)
_OF_THIS_MACHINE = re.compile(r"(?:127\.0\.0\.1|0\.0\.0\.0|localhost|\*|\[::1?\])(?::\d+)?(?![\w-])(?!\.\w)")
_PORT = re.compile(r":(\d{1,5})\Z")
_AT = re.compile(r"[^\s@:/\\\"'<>()\[\],;=]+@[0-9A-Za-z](?:[\w.-]*\w)?")
_BEHIND_A_WORD = r"|(?<=[A-Za-z_]{2}:)"
"""As in host:ADDRESS, though addresses hold colons themselves."""
_MAC = re.compile(
    rf"(?:{not_after('0-9A-Fa-f:.-')}{_BEHIND_A_WORD})"
    r"(?:[0-9A-Fa-f]{2}(?P<sign>[:-])(?:[0-9A-Fa-f]{2}(?P=sign)){4,6}[0-9A-Fa-f]{2}"
    r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![0-9A-Fa-f-]|:[0-9A-Fa-f:])"
)
_IPV4 = re.compile(not_after(r"\d.") + r"(?<!==)((?:\d{1,3}\.){3}\d{1,3})(?:/\d{1,2})?(?!\d)(?!\.\d)")
_IPV6 = re.compile(
    rf"(?:{not_after('0-9A-Za-z_:.')}{_BEHIND_A_WORD})"
    r"(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:(?:\d{1,3}\.){3}\d{1,3})?(?:%[\w.~-]+)?(?:/\d{1,3})?"
)
_DOTTED = re.compile(
    not_after(r"\w.@/\\~«»-")
    + r"(?:[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?\.)+[A-Za-z]{2,63}(?![\w-])(?!\.\w)(?![(\[])"
)
_WITH_PORT = re.compile(
    not_after(r"\w.«»-") + r"(?=[A-Za-z-]*[\d-])[A-Za-z][0-9A-Za-z-]*[0-9A-Za-z]:(\d{3,5})(?![\w.:])"
)
_END_OF_HOST = re.compile(
    "com|net|org|edu|gov|mil|info|biz|dev|app|cloud|online|site|tech|xyz|studio|agency|media|network|systems|film|digital"
    "|gmbh|berlin|koeln|hamburg|bayern|wien|tokyo|london|nyc|local|localdomain|lan|home|internal|intranet|corp|private"
    "|example|invalid|test|arpa|onion"
    "|(?!py|so|sh|pt|md|rs|cc|cu|pl|ps|js|ts|gz|xz|db|ui|id|do|pb|nn|op|ir|eq|ne)[a-z]{2}"
)
"""What the name of a machine may end with. Two letters are a country, but for those that files and parts of programs
end with: as hosts they are rare, and tracebacks are full of them."""
_SURE_END = re.compile(
    "com|net|org|edu|gov|info|biz|dev|local|localdomain|lan|internal|intranet|corp|example|de|at|ch|uk|fr|eu|us|nl|be|it"
    "|es|se|dk|fi|cz|jp|cn|kr|br|au|ca"
)
"""With one of these also what begins like a module is a machine: email.example.com."""
_OBJECTS = {"self", "cls", "np", "nn"}
"""What a name in a program begins with, beside modules."""
_OUR_MODULES = {"backend", "elevator", "shared_protocol", "blender_addon", "install", "bpy"}


def without_addresses(text: str, is_module: Callable[[str], bool]) -> str:
    """Without addresses of machines, and without names of machines that are no names of modules.

    `is_module`: of the first part of a name with dots.
    """

    def host(match: re.Match[str]) -> str:
        first, *_, last = match[0].lower().split(".")
        module = first in _OUR_MODULES or first in sys.stdlib_module_names or is_module(first)
        end = _SURE_END if module else _END_OF_HOST
        return match[0] if first in _OBJECTS or not end.fullmatch(last) else "«host»"

    text = _MAC.sub("«address»", text)
    text = _IPV6.sub(_ipv6, text)
    text = _IPV4.sub(_ipv4, text)
    text = _DOTTED.sub(host, text)
    return _WITH_PORT.sub(r"«host»:\1", text)


def without_urls(text: str) -> str:
    """Without addresses of people. Of an address of the web or of a socket stays what it is for, and its port; those
    of this machine tell nothing."""
    return _AT.sub("«address»", _URL.sub(_url, text))


def _url(match: re.Match[str]) -> str:
    place = match[2].rstrip(".,;:)")
    sentence = match[2][len(place) :]
    if here := _OF_THIS_MACHINE.match(place):
        return f"{match[1]}://{here[0]}{sentence}"
    port = _PORT.search(place.partition("/")[0])
    return f"{match[1]}://«host»{port[0] if port else ''}{sentence}"


def _ipv4(match: re.Match[str]) -> str:
    try:
        address = ipaddress.IPv4Address(match[1])
    except ValueError:
        return match[0]
    return match[0] if address.is_loopback or address.is_unspecified else "«address»"


def _ipv6(match: re.Match[str]) -> str:
    """A match may end with a colon that is the sentence's."""
    for text in (match[0], match[0].removesuffix(":"), match[0].removesuffix("::")):
        try:
            address = ipaddress.IPv6Address(text.partition("/")[0])
        except ValueError:
            continue
        harmless = address.is_loopback or address.is_unspecified
        return match[0] if harmless else "«address»" + match[0][len(text) :]
    return match[0]


# Paths --------------------------------------------------------------------------------------------------------

HOME = "«home»"
_SYSTEM = r"(?:usr|lib|lib32|lib64|bin|sbin|opt|etc|proc|sys|dev|System|Library|Applications)(?=[\\/\s\"':,;)]|$)"
_HOMES = re.compile(r"(?i)(?:\b[a-z]:)?[\\/]+(?:home|users)[\\/]+[^\\/:\"'“”\n]+")
_BELOW_HOME = re.compile(rf"{HOME}((?:[\\/]+[^\\/:\"'“”\n,;()<>|«»]*)+)")
_QUOTED_PATH = re.compile(rf"(?<=[\"'“`])(?:/(?!/|{_SYSTEM})|[A-Za-z]:\\+(?!Windows|Program))[^\"'”`\n«»]+(?=[\"'”`])")
_NO_PART = r"\s\"'“”`:,;()<>|«»"
_PATH = re.compile(
    rf"(?<![\w«».:/\\~*-])/(?!/|{_SYSTEM})[^{_NO_PART}/]+/[^{_NO_PART}]+"
    rf"|\b[A-Za-z]:\\+(?!Windows|Program)[^{_NO_PART}]+"
)
_OF_PYTHON = re.compile(r"(?:site-packages|dist-packages|lib[\\/]python[\d.]+)[\\/].*", re.DOTALL)
"""A part of a path that is the same on every machine."""
_FILE = re.compile(
    r"(?i)(?:(?<=[\\/\"'“`])(?![\s:,;.)\]])(?:[^\\/\"'“”`\n«»|,:;]|,(?! line \d))*?|[^\s\\/\"'“”`:,;()=<>|«»]*)"
    r"(\.(?:safetensors|ckpt|pth?|bin|gguf|onnx|toml|jsonl?|csv|txt|png|jpe?g|webp|tiff?|exr|gif|mp4|mov|mkv|avi|webm"
    r"|blend1?|zip|pub|key|db))(?![0-9A-Za-z])"
)


def without_paths(text: str) -> str:
    """Without where a user's files lie: of a path stay what is the same on every machine, and what kind of file it
    is. What is below `HOME` counts as the user's."""
    text = _HOMES.sub(HOME, text)
    text = _BELOW_HOME.sub(lambda match: HOME + _path_end(match[1]), text)
    for pattern in (_QUOTED_PATH, _PATH):
        text = pattern.sub(lambda match: f"«folder»{_path_end(match[0])}", text)
    return text


def without_files(text: str, is_ours: Callable[[str], bool]) -> str:
    """Without names of models, pictures and other files of users. `is_ours`: of a name, whether everybody has it."""

    def file(match: re.Match[str]) -> str:
        named = match[0][: -len(match[1])].strip(" .")
        return match[0] if not named or is_ours(match[0]) else f"«file»{match[1]}"

    return _FILE.sub(file, text)


def _path_end(path: str) -> str:
    if known := _OF_PYTHON.search(path):
        return f"/…/{known[0]}"
    kind = _FILE.search(path := path.rstrip())
    return "/…" + (f"/«file»{kind[1]}" if kind and path.endswith(kind[1]) else "")
