"""What was got is checked, got again, taken away and taken along."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend.models import bundle, getting
from backend.models.bundle import MODELS_HERE, Packed
from backend.models.catalogue import read_catalogue
from backend.models.failures import ModelFailure
from backend.models.getting import Means
from backend.models.stock import Got, fault, is_as_it_came, place_of, read_stock
from shared_protocol.machine import places
from tests.backend.models.conftest import BIG, UNET
from tests.backend.models.hub_server import HubServer


def nothing(step: object) -> None:
    """Nobody looks."""


def get(means: Means, *names: str) -> list[Got]:
    return getting.get(read_catalogue(), names, means, nothing)


def problems() -> dict[str, str]:
    return {got.path: problem for got, problem in getting.check(read_stock(), nothing) if problem}


def refused(act: Callable[[], Any]) -> ModelFailure:
    with pytest.raises(ModelFailure) as told:
        act()
    assert "\n" not in str(told.value)
    return told.value


def change(path: Path) -> None:
    """One byte, with the same size and time."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# Verify and repair -------------------------------------------------------------------------------------------------


def test_what_is_damaged_missing_or_cut_is_found_and_got_again(hub: HubServer, means: Means) -> None:
    get(means, "pair_with_lora")
    assert problems() == {}
    change(place_of("big", "big.safetensors"))
    place_of("lora", "lora.safetensors").unlink()
    place_of("video", "unet/config.json").write_bytes(b"{")
    assert problems() == {
        "big.safetensors": "its content is damaged",
        "lora.safetensors": "it is missing",
        "unet/config.json": "it has another size",
    }
    before = len(hub.gets())
    new = getting.repair(read_stock(), means, nothing)
    assert {got.path for got in new} == {"big.safetensors", "lora.safetensors", "unet/config.json"}
    assert problems() == {}
    assert not [one for one in hub.gets()[before:] if "diffusion_pytorch_model" in one.path], "what is whole stays"


def test_what_no_catalogue_names_any_more_is_got_again_as_it_was(hub: HubServer, means: Means) -> None:
    get(means, "big")
    (places.config_folder() / "catalogue.toml").unlink()
    place_of("big", "big.safetensors").unlink()
    (got,) = getting.repair(read_stock(), means, nothing)
    assert fault(got) == ""
    assert f"/resolve/{'c' * 40}/" in hub.seen[-1].path, "from the commit that it came from"


def test_repair_does_not_take_another_file_than_the_one_that_was_there(hub: HubServer, means: Means) -> None:
    get(means, "lora")
    place_of("lora", "lora.safetensors").unlink()
    hub.files["me/big/lora.safetensors"] = b"x" * 2_000
    assert refused(lambda: getting.repair(read_stock(), means, nothing)).code == "file_changed"


def test_a_file_that_was_written_over_is_got_again(hub: HubServer, means: Means) -> None:
    """By the look of its size and time alone, which is what `get` goes by."""
    (got,) = get(means, "big")
    assert is_as_it_came(got)
    got.place.write_bytes(b"something else")
    assert not is_as_it_came(got)
    get(means, "big")
    assert got.place.read_bytes() == hub.files[BIG]


# Remove ------------------------------------------------------------------------------------------------------------


def gone(*names: str) -> list[str]:
    return sorted(got.model for got in getting.to_remove(read_catalogue(), names))


def test_what_another_whole_set_needs_stays(hub: HubServer, means: Means) -> None:
    get(means, "pair_with_lora")
    assert gone("pair_with_lora") == ["lora"], "the other two are a set that is here"
    assert gone("pair") == [], "and of the larger one"
    assert gone("pair", "pair_with_lora") == ["big", "lora", "video", "video"]
    assert gone("big") == ["big"], "who names a model means it"


def test_files_go_with_their_folders_and_notes(hub: HubServer, means: Means) -> None:
    get(means, "pair")
    (place_of("video") / "mine.txt").write_text("x")
    getting.remove(getting.to_remove(read_catalogue(), ["pair"]))
    assert read_stock() == ()
    assert not place_of("big").exists()
    assert [path.name for path in place_of("video").rglob("*")] == ["mine.txt"]


def test_what_was_not_got_cannot_be_removed(hub: HubServer, means: Means) -> None:
    get(means, "lora")
    assert refused(lambda: gone("video")).code == "not_got"
    assert refused(lambda: gone("pair")).code == "not_got"


# Export and import -------------------------------------------------------------------------------------------------

BASE = """title = "Mine"
t2i = "{models}/big/big.safetensors"
t2v = "{models}/video"
presets = "zeroscope"
"""


@pytest.fixture
def settings(hub: HubServer, means: Means) -> Path:
    """A base and a style with its picture, for what was got."""
    get(means, "pair")
    folder = places.config_folder()
    for name in ("bases", "styles"):
        (folder / name).mkdir()
    base = BASE.format(models=places.models_folder().as_posix())
    (folder / "bases" / "mine.toml").write_text(base, encoding="utf-8")
    (folder / "styles" / "mine.toml").write_text('base = "mine"\ntitle = "Été"\n', encoding="utf-8")
    (folder / "styles" / "mine.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "styles" / "No Style.toml").write_text("", encoding="utf-8")
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on, this is another machine."""

    def move() -> None:
        monkeypatch.setenv("ELEVATOR_HOME", str(tmp_path / "other machine's"))

    return move


def export(target: Path) -> Packed:
    return bundle.export(target, read_stock(), nothing)


def take(source: Path) -> Packed:
    return bundle.import_bundle(source, nothing)


@pytest.mark.parametrize("name", ["all.zip", "folder"])
def test_everything_is_there_on_another_machine(
    hub: HubServer, settings: Path, elsewhere: Callable[[], None], tmp_path: Path, name: str
) -> None:
    packed = export(tmp_path / name)
    assert (packed.files, packed.notes) == (3 + 1 + 3, ())
    here = places.models_folder().as_posix()
    elsewhere()
    assert take(tmp_path / name).files == 7
    assert place_of("big", "big.safetensors").read_bytes() == hub.files[BIG]
    assert place_of("video", "unet/diffusion_pytorch_model.bin").read_bytes() == hub.files[UNET]
    base = (places.config_folder() / "bases" / "mine.toml").read_text(encoding="utf-8")
    assert base == BASE.format(models=places.models_folder().as_posix())
    assert here not in base
    assert (places.config_folder() / "styles" / "mine.png").exists()
    assert problems() == {}
    assert len(read_stock()) == 3
    again = take(tmp_path / name)
    assert again.files == 0
    assert len(again.notes) == 4, "settings that are there stay"
    assert all(is_as_it_came(got) for got in read_stock())


def test_nothing_unfinished_is_left_of_an_export_that_fails(settings: Path, tmp_path: Path) -> None:
    change(place_of("big", "big.safetensors"))
    for name in ("all.zip", "folder"):
        failure = refused(partial(export, tmp_path / name))
        assert failure.code == "bundle_unwritable"
        assert "models repair" in failure.sentence
    assert not [path for path in tmp_path.iterdir() if "all" in path.name or "folder" in path.name]


def test_an_export_replaces_nothing(settings: Path, tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_bytes(b"mine")
    assert refused(lambda: export(tmp_path / "all.zip")).code == "name_taken"
    assert (tmp_path / "all.zip").read_bytes() == b"mine"


def test_what_lies_elsewhere_is_said(settings: Path, tmp_path: Path) -> None:
    (settings / "bases" / "other.toml").write_text('t2i = "/home/me/dream.safetensors"\n', encoding="utf-8")
    (note,) = export(tmp_path / "all.zip").notes
    assert "/home/me/dream.safetensors" in note
    assert "other.toml" in note


def test_another_file_of_a_models_name_stops_the_import_before_anything_is_written(
    hub: HubServer, settings: Path, elsewhere: Callable[[], None], tmp_path: Path
) -> None:
    export(tmp_path / "all.zip")
    elsewhere()
    place = place_of("video", "unet/config.json")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    assert refused(lambda: take(tmp_path / "all.zip")).code == "name_taken"
    assert place.read_bytes() == b"mine"
    assert not place_of("big").exists()


def test_the_disk_is_looked_at_before_an_import(
    settings: Path, elsewhere: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(tmp_path / "all.zip")
    elsewhere()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5))
    assert refused(lambda: take(tmp_path / "all.zip")).code == "no_room"


def manifest(*paths: str, content: bytes = b"evil", **more: Any) -> dict[str, Any]:
    files = [{"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for path in paths]
    return {"format": "elevator-models-1", "files": files, "got": [], **more}


HOSTILE = (
    "../x",
    "models/../../x.bin",
    "models/a/../../../x.bin",
    "/etc/x",
    "models//x",
    "models/a/.x",
    "models/got.json",
    "models/got.json/x",
    "models/.lock",
    "models/a\\..\\x.bin",
    "models/C:/x.bin",
    "settings/styles/../../keys/x.toml",
    "settings/keys/server.key",
    "settings/backend.json",
    "settings/styles/a.py",
    "settings/bases/A.toml",
    "queue.db",
    "",
)


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_no_path_leads_out(tmp_path: Path, path: str, kind: str) -> None:
    source = tmp_path / "in" / "evil"
    source.parent.mkdir()
    if kind == "zip":
        with zipfile.ZipFile(source, "w") as made:
            made.writestr("manifest.json", json.dumps(manifest(path)))
            made.writestr(path or "x", b"evil")
    else:
        source.mkdir()
        (source / "manifest.json").write_text(json.dumps(manifest(path)), encoding="utf-8")
    before = {each for each in tmp_path.rglob("*") if "evil" not in str(each)}
    assert refused(lambda: take(source)).code == "bundle_unusable"
    assert {each for each in tmp_path.rglob("*") if "evil" not in str(each)} == before


def test_no_link_in_a_folder_is_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"evil")
    source = tmp_path / "in"
    (source / "models" / "a").mkdir(parents=True)
    (source / "manifest.json").write_text(json.dumps(manifest("models/a/x.bin")), encoding="utf-8")
    (source / "models" / "a" / "x.bin").symlink_to(secret)
    assert "leads elsewhere" in refused(lambda: take(source)).sentence
    (source / "models" / "a" / "x.bin").unlink()
    (source / "models" / "a").rmdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.bin").write_bytes(b"evil")
    (source / "models" / "a").symlink_to(tmp_path / "a")
    assert "leads elsewhere" in refused(lambda: take(source)).sentence


def write_zip(file: Path, told: object, **contents: bytes) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("manifest.json", told if isinstance(told, str) else json.dumps(told))
        for name, content in contents.items():
            made.writestr(name.replace("__", "/").replace("_bin", ".bin"), content)
    return file


@pytest.mark.parametrize(
    ("told", "contents", "says"),
    [
        ("no json", {}, "no export"),
        ({"format": "elevator-models-9", "files": []}, {}, "no export"),
        (manifest("models/a/x.bin"), {}, "is missing"),
        (manifest("models/a/x.bin"), {"models__a__x_bin": b"much more"}, "another size"),
        (manifest("models/a/x.bin"), {"models__a__x_bin": b"EVIL"}, "damaged"),
        (manifest("settings/styles/x.toml", content=b"#" * (2 << 20)), {}, "nothing that is exported"),
    ],
)
def test_each_mistake_of_a_zip_is_a_sentence(
    tmp_path: Path, told: object, contents: dict[str, bytes], says: str
) -> None:
    failure = refused(lambda: take(write_zip(tmp_path / "x.zip", told, **contents)))
    assert failure.code == "bundle_unusable"
    assert says in failure.sentence
    assert not list(places.models_folder().rglob("*.bin"))
    assert not list(places.models_folder().rglob("*.part"))


def test_a_zip_that_is_damaged_or_none(settings: Path, elsewhere: Callable[[], None], tmp_path: Path) -> None:
    export(tmp_path / "all.zip")
    content = bytearray((tmp_path / "all.zip").read_bytes())
    content[200_000] ^= 1  # in the largest file
    (tmp_path / "all.zip").write_bytes(content)
    (tmp_path / "cut.zip").write_bytes(content[:100_000])
    (tmp_path / "text.zip").write_bytes(b"hello")
    elsewhere()
    for name in ("all.zip", "cut.zip", "text.zip", "none.zip"):
        assert refused(partial(take, tmp_path / name)).code == "bundle_unusable", name
    assert not place_of("big", "big.safetensors").exists()


def test_a_zip_that_would_grow_without_end_is_refused(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "bomb.zip", manifest("models/a/x.bin"), models__a__x_bin=bytes(50_000_000))
    assert source.stat().st_size < 100_000
    assert "another size" in refused(lambda: take(source)).sentence


def test_what_a_bundle_does_not_list_is_not_taken(tmp_path: Path) -> None:
    source = write_zip(
        tmp_path / "x.zip", manifest("models/a/x.bin"), models__a__x_bin=b"evil", models__b__y_bin=b"more"
    )
    assert take(source).files == 1
    assert not place_of("b").exists()
    assert read_stock() == (), "where it was got, nobody has said"


def test_the_placeholder_is_no_path_of_anybody() -> None:
    assert not Path(MODELS_HERE).exists()
    assert "/" not in MODELS_HERE
