"""Where other tools keep their models: AUTOMATIC1111's web UI and its forks, ComfyUI, InvokeAI, Hugging Face's cache.

Everything here only reads. What a tool's folder is, is told by what lies in it, never by its name.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shared_protocol.edited import NoText, text_of

EXTRA_PATHS = "extra_model_paths.yaml"
"""In which ComfyUI is told of folders elsewhere."""
HUB_MODEL = "models--"
"""How Hugging Face's cache begins the names of a model's folder."""
_SETTINGS_BYTES = 1 << 20
_OTHER_KINDS = frozenset(
    {"base_path", "is_default", "custom_nodes", "configs", "controlnet", "upscale_models", "clip_vision", "gligen"}
    | {"hypernetworks", "ipadapter", "style_models", "photomaker", "model_patches", "inpaint"}
)
"""Keys of `EXTRA_PATHS` that name no folders of models that we could use."""


@dataclass(frozen=True)
class Place:
    """A folder or file in which models may lie."""

    path: Path
    tool: str
    """Whose it is, for people; "" for nobody's."""


def places_of(folder: Path) -> list[Place]:
    """Where to look, if a user names this folder: the tool's own places if it is a tool's, else the folder itself."""
    found: list[Place] = []
    for finder in (_a1111, _comfyui, _invokeai, _hub_cache):
        found += finder(folder)
    for inner in ("ComfyUI", "hub"):  # ComfyUI's portable edition for Windows; the whole cache of Hugging Face
        if not found and (folder / inner).is_dir():
            found += _comfyui(folder / inner) if inner == "ComfyUI" else _hub_cache(folder / inner)
    unique = {place.path: place for place in reversed(found) if place.path.exists()}
    return list(reversed(unique.values())) or [Place(folder, "")]


def _a1111(folder: Path) -> Iterator[Place]:
    if (folder / "models" / "Stable-diffusion").is_dir():
        for part in ("models", "embeddings", "extensions/sd-webui-animatediff/model"):
            yield Place(folder / part, "AUTOMATIC1111's web UI")


def _comfyui(folder: Path) -> Iterator[Place]:
    extra = folder / EXTRA_PATHS
    if (folder / "models" / "checkpoints").is_dir() or extra.is_file():
        yield Place(folder / "models", "ComfyUI")
        yield Place(folder / "custom_nodes" / "ComfyUI-AnimateDiff-Evolved" / "models", "ComfyUI")
        for path in extra_paths(extra):
            yield Place(path, f"ComfyUI's {EXTRA_PATHS}")


def _invokeai(folder: Path) -> Iterator[Place]:
    settings, database = folder / "invokeai.yaml", folder / "databases" / "invokeai.db"
    if settings.is_file() or database.is_file():
        named = dict(_pairs(_text_of(settings))).get("models_dir", "models")
        models = folder / _written(named)
        yield Place(models, "InvokeAI")
        for path in _registered(database):
            yield Place(models / path, "InvokeAI")


def _registered(database: Path) -> list[Path]:
    """Paths in InvokeAI's database: files that it uses where they lie. Nothing is written, not even a journal."""
    if not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as opened:
            rows = opened.execute("SELECT json_extract(config, '$.path') FROM models LIMIT 100000").fetchall()
    except sqlite3.Error:  # of another version, or damaged
        return []
    return [Path(row[0]) for row in rows if isinstance(row[0], str) and os.path.isabs(row[0])]


def _hub_cache(folder: Path) -> Iterator[Place]:
    try:
        models = sorted(name for name in os.listdir(folder) if name.startswith(HUB_MODEL))
    except OSError:
        return
    for name in models:
        snapshots = folder / name / "snapshots"
        try:
            newest = (folder / name / "refs" / "main").read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            newest = ""
        if newest and (snapshots / newest).is_dir():
            yield Place(snapshots / newest, "Hugging Face's cache")
        else:
            yield Place(snapshots, "Hugging Face's cache")


# The little of YAML that these files are written in ------------------------------------------------------------------


def extra_paths(file: Path) -> list[Path]:
    """Folders of models that ComfyUI's file names, in its order: relative ones from their `base_path` on."""
    found: list[Path] = []
    for _, section in _sections(_text_of(file)):
        pairs = list(_pairs(section))
        base = file.parent / _written(next((text for key, text in pairs if key == "base_path"), ""))
        for key, text in pairs:
            if key not in _OTHER_KINDS:
                found += [base / _written(line) for line in text.splitlines() if line]
    return list(dict.fromkeys(Path(os.path.normpath(path)) for path in found))


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > _SETTINGS_BYTES:
            return ""
        data = file.read_bytes()
    except OSError:
        return ""
    try:
        return text_of(data, wide=True)
    except NoText:  # some of it may still be understood
        return data.decode("utf-8", "replace")


def _written(text: str) -> Path:
    """A path as it was written, with the home folder and variables filled in."""
    return Path(os.path.expandvars(os.path.expanduser(text)).replace("\0", ""))


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Keys of the first level, and the lines below each."""
    name, lines = "", list[str]()
    for line in text.splitlines():
        if re.match(r"[^\s#][^:]*:\s*(#.*)?$", line):
            yield name, "\n".join(lines)
            name, lines = line.partition(":")[0], []
        else:
            lines.append(line)
    yield name, "\n".join(lines)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Each `key: value`; a value of several lines (`|`, `>` or `-`) has a line for each."""
    key, depth, block = "", -1, list[str]()
    for line in (*text.splitlines(), "end:"):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if key and (indent > depth or bare.startswith("- ")):
            block.append(_scalar(bare.removeprefix("- ")))
            continue
        if key:
            yield key, "\n".join(block)
            key, block = "", []
        match = re.match(r"([\w\-]+)\s*:(?:\s+(.*))?$", bare)
        if match is None:
            continue
        value = _scalar(match[2] or "")
        if value in ("", "|", ">", "|-", ">-", "|+", ">+"):
            key, depth = match[1], indent
        else:
            yield match[1], value


def _scalar(text: str) -> str:
    """A value without quotes and without a comment behind it."""
    text = text.strip()
    if text[:1] in ("'", '"') and (end := text.find(text[0], 1)) > 0:
        return text[1:end]
    return re.split(r"\s#", text, maxsplit=1)[0].strip()
