"""Models, bases and styles in one zip or folder, for another machine.

`manifest.json` lists every other file with its size and SHA-256; what it does not list is not taken. Model files lie
below `models/`, what the settings folder holds below `settings/`. In bases and styles, `@models@` stands for the
folder of models, which is another one on the other machine.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tomllib
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import msgspec

from shared_protocol.machine import places
from shared_protocol.machine.files import UNFINISHED, make_folder, move
from shared_protocol.machine.launcher import launcher

from .bundle_files import Reader, Writer, reader, writer
from .catalogue import is_plain_path
from .download import CHUNK, cannot_write
from .failures import ModelFailure
from .getting import Meter, Show, check_room
from .stock import Got, add_to_stock, changing, fault, place_of

MANIFEST = "manifest.json"
MANIFEST_BYTES = 16 << 20
SETTING_BYTES = 1 << 20
"""More than any base, style or picture has."""
MODELS_HERE = "@models@"
_MODEL = re.compile(r"[a-z0-9][a-z0-9_]{0,63}/")
_SETTING = re.compile(r"settings/(?:catalogue\.toml|(?:bases|styles)/[a-z0-9_]{1,64}\.(?:toml|png))")


class Item(msgspec.Struct, frozen=True):
    """One file of a bundle."""

    path: Annotated[str, msgspec.Meta(max_length=600)]
    size: Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a bundle."""

    format: Literal["elevator-models-1"] = "elevator-models-1"
    files: tuple[Item, ...]
    got: tuple[Got, ...] = ()
    """Where its model files were got."""


@dataclass(frozen=True)
class Packed:
    """What was exported or imported."""

    files: int
    size: int
    """Bytes."""
    notes: tuple[str, ...]
    """Sentences about what is not in it, or was not taken."""


# Export ----------------------------------------------------------------------------------------------------------


def export(target: Path, stock: Sequence[Got], show: Show) -> Packed:
    """Write these model files and the user's bases, styles and catalogue. Raises ModelFailure.

    target: a file that ends in `.zip`, or else a folder; neither may be there.
    """
    if os.path.lexists(target):
        raise ModelFailure("name_taken", path=target)
    settings = [(f"settings/{name}", *_portable(path)) for name, path in _own_settings()]
    notes = [note for _, _, found in settings for note in found]
    meter = Meter(sum(got.size for got in stock), show)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}{UNFINISHED}")
    try:
        items = []
        with ExitStack() as stack:
            bundle = stack.enter_context(writer(partial, as_zip=target.suffix.lower() == ".zip"))
            for got in stock:
                meter.begin(f"{got.model}/{got.path}")
                items.append(_exported(bundle, got, meter))
            for name, data, _ in settings:
                with bundle.create(name) as file:
                    file.write(data)
                items.append(Item(name, len(data), hashlib.sha256(data).hexdigest()))
            with bundle.create(MANIFEST) as file:
                file.write(msgspec.json.encode(Manifest(files=tuple(items), got=tuple(stock))))
        move(partial, target)
    except OSError as error:
        raise ModelFailure("bundle_unwritable", file=target, detail=error.strerror or "the disk refuses it") from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        partial.unlink(missing_ok=True)
    return Packed(len(items), sum(item.size for item in items), tuple(notes))


def _exported(bundle: Writer, got: Got, meter: Meter) -> Item:
    """A model file, copied. Raises ModelFailure if it is not what was got, and OSError."""
    name = f"models/{got.model}/{got.path}"
    try:
        source = got.place.open("rb")
    except OSError as error:
        raise ModelFailure("bundle_unwritable", file=name, detail=f"it {error.strerror}") from error
    with source, bundle.create(name) as file:
        sha256 = _copy(source, file, meter)
    if sha256 != got.sha256:
        detail = f'the model file {got.place} is damaged; "{launcher()} models repair" mends it'
        raise ModelFailure("bundle_unwritable", file=name, detail=detail)
    return Item(name, got.size, sha256)


def _own_settings() -> Iterator[tuple[str, Path]]:
    """The user's own files, with their names below `settings/`."""
    folder = places.config_folder()
    for path in (folder / "catalogue.toml", *sorted(folder.glob("bases/*")), *sorted(folder.glob("styles/*"))):
        name = path.relative_to(folder).as_posix()
        if _SETTING.fullmatch(f"settings/{name}") and path.is_file() and path.stat().st_size <= SETTING_BYTES:
            yield name, path


def _portable(path: Path) -> tuple[bytes, list[str]]:
    """A setting for another machine, and sentences about what that one will not find."""
    data = path.read_bytes()
    if path.suffix != ".toml":
        return data, []
    here = os.fspath(places.models_folder())
    text = data.decode("utf-8-sig", errors="surrogateescape")
    for written in {here.replace("\\", "\\\\"), here, places.models_folder().as_posix()}:
        text = text.replace(written, MODELS_HERE)
    with suppress(ValueError, RecursionError):  # that it is no TOML is said where it is used
        outside = [each for each in _texts(tomllib.loads(text)) if os.path.isabs(each) or each.startswith(("~", "$"))]
        return text.encode("utf-8", errors="surrogateescape"), [
            f"{path.name} names {each}, which is not in the folder of models and so not in the export."
            for each in outside
        ]
    return data, []


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


# Import ----------------------------------------------------------------------------------------------------------


def import_bundle(source: Path, show: Show) -> Packed:
    """Take everything out of a bundle that is not here yet. Raises ModelFailure.

    Every file is checked against its hash before it gets its name, and none leads out of the folders of models and
    settings. Bases and styles that are here already stay as they are.
    """
    with ExitStack() as stack:
        try:
            bundle = stack.enter_context(reader(source))
            manifest = _manifest(bundle)
        except (OSError, zipfile.BadZipFile, msgspec.DecodeError, NotImplementedError) as error:
            detail = error.strerror if isinstance(error, OSError) else "it is no export of models, or damaged"
            raise ModelFailure("bundle_unusable", file=source, detail=detail) from error
        for item in manifest.files:
            if why := _refusal(bundle, item):
                raise ModelFailure("bundle_unusable", file=source, detail=f'"{item.path}" {why}')
        folder = stack.enter_context(changing())
        wanted, notes = _wanted(manifest)
        check_room(folder, sum(item.size for item, _ in wanted))
        meter = Meter(sum(item.size for item, _ in wanted), show)
        origins = {f"models/{got.model}/{got.path}": got for got in manifest.got}
        for item, target in wanted:
            meter.begin(item.path)
            _take(source, bundle, item, target, meter)
            if (got := origins.get(item.path)) is not None and got.sha256 == item.sha256:
                add_to_stock(msgspec.structs.replace(got, changed_ns=target.stat().st_mtime_ns))
        return Packed(len(wanted), sum(item.size for item, _ in wanted), tuple(notes))


def _manifest(bundle: Reader) -> Manifest:
    """Raises OSError, BadZipFile and DecodeError."""
    if bundle.size(MANIFEST) is None:
        raise msgspec.DecodeError("there is none")
    with bundle.opened(MANIFEST) as file:
        return msgspec.json.decode(file.read(MANIFEST_BYTES), type=Manifest)


def _refusal(bundle: Reader, item: Item) -> str:
    """Why a file is not taken, as the rest of a sentence, or ""."""
    first, _, rest = item.path.partition("/")
    if first == "models":
        if not is_plain_path(rest) or not _MODEL.match(rest):
            return "is no path of a model"
    elif not _SETTING.fullmatch(item.path) or item.size > SETTING_BYTES:
        return "is nothing that is exported"
    size = bundle.size(item.path)
    if size is None:
        return "is missing, or leads elsewhere"
    return "" if size == item.size else "has another size than its list says"


def _wanted(manifest: Manifest) -> tuple[list[tuple[Item, Path]], list[str]]:
    """The files that are not here, where each goes, and sentences about settings that stay. Raises ModelFailure."""
    wanted, notes = [], list[str]()
    taken = set[str]()
    for item in manifest.files:
        if item.path.casefold() in taken:
            continue
        taken.add(item.path.casefold())
        first, _, rest = item.path.partition("/")
        if first == "models":
            model, _, path = rest.partition("/")
            target = place_of(model, path)
            got = Got(
                model=model,
                path=path,
                repo="",
                revision="",
                size=item.size,
                sha256=item.sha256,
                published=True,
                changed_ns=0,
            )
            if os.path.lexists(target):
                if fault(got):
                    raise ModelFailure("name_taken", path=target)
                continue
        else:
            target = places.config_folder().joinpath(*rest.split("/"))
            if os.path.lexists(target):
                notes.append(f"{target} is there already and stays as it is.")
                continue
        wanted.append((item, target))
    return wanted, notes


def _take(source: Path, bundle: Reader, item: Item, target: Path, meter: Meter) -> None:
    """One file, whole or not at all. Raises ModelFailure."""
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}{UNFINISHED}")
    try:
        make_folder(target.parent)
        try:
            with bundle.opened(item.path) as opened, partial.open("xb") as file:
                sha256 = _copy(opened, file, meter, most=item.size)
                file.flush()
                os.fsync(file.fileno())
        except (zipfile.BadZipFile, EOFError, NotImplementedError):
            sha256 = ""
        if sha256 != item.sha256:
            raise ModelFailure("bundle_unusable", file=source, detail=f'"{item.path}" in it is damaged')
        if item.path.startswith("settings/") and target.suffix == ".toml":
            here = places.models_folder().as_posix().replace('"', '\\"')
            partial.write_bytes(partial.read_bytes().replace(MODELS_HERE.encode(), os.fsencode(here)))
        move(partial, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _copy(source: IO[bytes], target: IO[bytes], told: Callable[[int], None], most: int | None = None) -> str:
    """Copy all of it, or as many bytes. Returns the SHA-256 of what was copied."""
    sha256 = hashlib.sha256()
    left = most
    while chunk := source.read(CHUNK if left is None else min(CHUNK, left)):
        sha256.update(chunk)
        target.write(chunk)
        told(len(chunk))
        if left is not None:
            left -= len(chunk)
    return sha256.hexdigest()
