"""What was got is checked, got again, taken away and taken along."""

from __future__ import annotations

import errno
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

import msgspec
import pytest

from backend.models import bundle, getting, stock
from backend.models.bundle import MODELS_HERE, Packed
from backend.models.catalogue import read_catalogue
from backend.models.failures import ModelFailure
from backend.models.getting import Means, Step
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


def test_progress_of_a_check_ends_at_the_sum_of_all(hub: HubServer, means: Means) -> None:
    get(means, "pair")
    steps: list[Step] = []
    getting.check(read_stock(), steps.append)
    assert {step.total for step in steps} == {sum(got.size for got in read_stock())}
    assert (steps[0].done, steps[-1].done) == (0, steps[0].total)
    assert [*dict.fromkeys(step.file for step in steps)] == [f"{got.model}/{got.path}" for got in read_stock()]


def test_a_file_that_cannot_be_read_or_deleted_is_said(
    hub: HubServer, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    (got,) = get(means, "lora")
    with monkeypatch.context() as patch:
        patch.setattr(stock, "hashes", locked)
        assert fault(got) == "it cannot be read (Permission denied)"
        patch.setattr(Path, "unlink", locked)
        assert refused(lambda: getting.remove([got])).code == "models_unwritable"
    assert read_stock() == (got,)
    got.place.unlink()
    assert not is_as_it_came(got)
    getting.remove([got])
    assert read_stock() == (), "what is gone already is no fault"


def locked(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_list_that_cannot_be_written_is_said(hub: HubServer, means: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    (got,) = get(means, "lora")
    with monkeypatch.context() as patch:
        patch.setattr(stock, "write", locked)
        assert refused(lambda: stock.add_to_stock(got)).code == "models_unwritable"
        assert refused(lambda: stock.take_from_stock([got])).code == "models_unwritable"
        patch.setattr(stock, "make_folder", locked)
        assert refused(lambda: stock.changing().__enter__()).code == "models_unwritable"
    assert read_stock() == (got,)


def test_of_two_notes_of_one_place_the_later_one_holds(hub: HubServer, means: Means) -> None:
    (got,) = get(means, "lora")
    stock.add_to_stock(msgspec.structs.replace(got, size=5), msgspec.structs.replace(got, path="a.bin"))
    assert [(each.path, each.size) for each in read_stock()] == [("a.bin", got.size), ("lora.safetensors", 5)]
    stock.add_to_stock(msgspec.structs.replace(got, path="../x.bin"))
    assert len(read_stock()) == 2, "a name that leads elsewhere is none"


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


def test_a_model_file_that_is_gone_ends_an_export(settings: Path, tmp_path: Path) -> None:
    place_of("video", "unet/config.json").unlink()
    failure = refused(lambda: export(tmp_path / "all.zip"))
    assert failure.code == "bundle_unwritable"
    assert "models/video/unet/config.json" in failure.sentence
    assert "No such file" in failure.sentence


def test_a_disk_that_refuses_ends_an_export_or_import(
    settings: Path, elsewhere: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "move", locked)
        for name in ("all.zip", "folder"):
            assert refused(partial(export, tmp_path / name)).code == "bundle_unwritable"
    assert not [path for path in tmp_path.iterdir() if "all" in path.name or "folder" in path.name]
    export(tmp_path / "all.zip")
    elsewhere()
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "move", locked)
        assert refused(lambda: take(tmp_path / "all.zip")).code == "models_unwritable"
    assert not [path for path in places.models_folder().rglob("*") if path.is_file() and path.name != ".lock"]


def test_what_goes_into_an_export(settings: Path, tmp_path: Path) -> None:
    """Settings up to a size, and none that are called otherwise."""
    (settings / "styles" / "large.png").write_bytes(bytes(bundle.SETTING_BYTES))
    (settings / "styles" / "larger.png").write_bytes(bytes(bundle.SETTING_BYTES + 1))
    (settings / "styles" / "folder.toml").mkdir()
    (settings / "styles" / "notes.txt").write_text("")
    (settings / "bases" / "broken.toml").write_bytes(b"title = \xff")
    steps: list[Step] = []
    packed = bundle.export(tmp_path / "folder", read_stock(), steps.append)
    written = [path for path in (tmp_path / "folder").rglob("*") if path.is_file()]
    names = {path.relative_to(tmp_path / "folder").as_posix() for path in written}
    assert {name for name in names if name.startswith("settings/")} == {
        "settings/catalogue.toml",
        "settings/bases/mine.toml",
        "settings/bases/broken.toml",
        "settings/styles/mine.toml",
        "settings/styles/mine.png",
        "settings/styles/large.png",
    }
    assert packed.files == len(names) - 1, "all but the list"
    assert packed.size == sum(path.stat().st_size for path in written if path.name != "manifest.json")
    assert (tmp_path / "folder" / "settings" / "bases" / "broken.toml").read_bytes() == b"title = \xff"
    assert MODELS_HERE in (tmp_path / "folder" / "settings" / "bases" / "mine.toml").read_text(encoding="utf-8")
    assert steps[-1].done == steps[-1].total == sum(got.size for got in read_stock())


@pytest.mark.parametrize("outside", ["/m/x.ckpt", "~/x.ckpt", "$MODELS/x.ckpt"])
def test_every_text_of_a_setting_is_looked_at(settings: Path, tmp_path: Path, outside: str) -> None:
    content = f'title = "T"\nnames = ["plain", "{outside}"]\n[[loras]]\npath = "{outside}"\n'
    (settings / "styles" / "other.toml").write_text(content, encoding="utf-8")
    notes = export(tmp_path / "all.zip").notes
    assert [outside in note and "other.toml" in note for note in notes] == [True, True]


def test_progress_of_an_import_is_that_of_what_is_new(
    settings: Path, elsewhere: Callable[[], None], tmp_path: Path
) -> None:
    export(tmp_path / "all.zip")
    elsewhere()
    steps: list[Step] = []
    packed = bundle.import_bundle(tmp_path / "all.zip", steps.append)
    assert {step.total for step in steps} == {packed.size}
    assert steps[-1].done == packed.size
    place_of("big", "big.safetensors").unlink()
    again = bundle.import_bundle(tmp_path / "all.zip", steps.append)
    assert (again.files, again.size) == (1, steps[-1].total)
    assert len(read_stock()) == 3


def test_a_list_that_names_a_file_twice_is_taken_once(tmp_path: Path) -> None:
    told = manifest("models/a/x.bin", "models/a/X.bin")
    source = write_zip(tmp_path / "x.zip", told, models__a__x_bin=b"evil", models__a__X_bin=b"evil")
    assert take(source).files == 1
    assert [path.name for path in place_of("a").iterdir()] == ["x.bin"]


def test_where_a_file_was_got_is_believed_only_of_that_file(
    settings: Path, elsewhere: Callable[[], None], tmp_path: Path
) -> None:
    export(tmp_path / "folder")
    file = tmp_path / "folder" / "manifest.json"
    told = json.loads(file.read_bytes())
    told["got"][0]["sha256"] = "0" * 64
    file.write_text(json.dumps(told), encoding="utf-8")
    elsewhere()
    take(tmp_path / "folder")
    assert len(read_stock()) == 2


def test_a_zip_with_a_folder_or_a_secret_in_the_place_of_a_file(tmp_path: Path) -> None:
    source = tmp_path / "x.zip"
    with zipfile.ZipFile(source, "w") as made:
        made.writestr("manifest.json", json.dumps(manifest("models/a/x.bin")))
        made.writestr("models/a/x.bin/", b"")
    assert "is missing" in refused(lambda: take(source)).sentence
    with zipfile.ZipFile(source, "w") as made:
        made.writestr("manifest.json", json.dumps(manifest("models/a/x.bin")))
        made.writestr("models/a/x.bin", b"evil")
    content = bytearray(source.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the last file is encrypted
    source.write_bytes(content)
    assert "is missing" in refused(lambda: take(source)).sentence


def test_the_placeholder_is_no_path_of_anybody() -> None:
    assert not Path(MODELS_HERE).exists()
    assert "/" not in MODELS_HERE
