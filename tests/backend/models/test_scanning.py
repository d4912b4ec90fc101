"""Models of other tools are found where these tools have them: read once, remembered, and nothing is written there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backend.models import scanning
from backend.models.failures import ModelFailure
from backend.models.layouts import extra_paths
from backend.models.pairs import pairs, why_not
from backend.models.scanning import NOT_YET, Found, Scan, is_one_model, look_through, memory_file, own_models
from elevator.checkpoints import Family, Identity, Kind, Layout, identify
from elevator.checkpoints.header import NeedsTorch
from shared_protocol.machine import places
from tests.backend.harness import ROOT
from tests.backend.models import tools
from tests.true_shapes.random_weights import write

_HEARD: list[list[str]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _HEARD and isinstance(arguments[0], str):
        _HEARD[-1].append(arguments[0])


sys.addaudithook(_hear)


@contextmanager
def opened(folder: Path) -> Iterator[list[str]]:
    """Files below the folder that are opened meanwhile."""
    heard: list[str] = []
    found: list[str] = []
    _HEARD.append(heard)
    try:
        yield found
    finally:
        _HEARD.pop()
        found += [name for name in heard if name.startswith(str(folder))]


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """All that can be seen of a folder from outside: names, sizes, times."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path != folder
    }


def names(scan: Scan) -> dict[str, Kind | None]:
    return {Path(found.path).name: found.kind for found in scan.found}


def look(*folders: Path) -> Scan:
    return look_through(folders, torch=False)


def test_pefts_folders_are_one_lora_each(tmp_path: Path) -> None:
    """With its settings beside it, or one in a folder for each network."""
    for part in ("one", "two/unet", "two/text_encoder"):
        (tmp_path / part).mkdir(parents=True)
        write("lora_peft", tmp_path / part / "adapter_model.safetensors", "tiny")
        (tmp_path / part / "adapter_config.json").write_text('{"lora_alpha": 8}', encoding="utf-8")
    assert sorted((Path(found.path).name, found.kind) for found in look(tmp_path).found) == [
        ("one", Kind.LORA),
        ("two", Kind.LORA),
    ]


def test_automatic1111(tmp_path: Path) -> None:
    folder = tools.a1111(tmp_path / "stable-diffusion-webui")
    before = state(folder)
    scan = look(folder)
    assert names(scan) == {
        "dream.safetensors": Kind.T2I,
        "ink.safetensors": Kind.LORA,
        "fine.safetensors": Kind.VAE,
        "cat.safetensors": Kind.EMBEDDING,
        "mm_sd_v15_v2.safetensors": Kind.MOTION_MODULE,
    }
    assert {place.tool for place in scan.places} == {"AUTOMATIC1111's web UI"}
    (ink,) = [found for found in scan.found if found.kind is Kind.LORA]
    assert (ink.family, ink.trigger_words) == (Family.SD1, ("ink wash",))
    assert state(folder) == before


EXTRA = """# comment
a111:
    base_path: {other}

    checkpoints: models/Stable-diffusion
    configs: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS
    controlnet: models/ControlNet

comfyui:
  # base_path: somewhere
  vae: "{vae}"   # quoted
"""


def test_comfyui_and_its_folders_elsewhere(tmp_path: Path) -> None:
    other = tmp_path / "my models" / "sd"
    tools.model(other / "models" / "Stable-diffusion" / "there.safetensors", tools.SD2)
    tools.model(other / "models" / "Lora" / "lora.safetensors", tools.LORA)
    tools.model(other / "models" / "ControlNet" / "thing.safetensors", tools.SD1)
    tools.model(tmp_path / "vaes" / "fine.safetensors", tools.VAE)
    folder = tools.comfyui(tmp_path / "portable" / "ComfyUI", EXTRA.format(other=other, vae=tmp_path / "vaes"))
    expected = {
        "comfy.safetensors": Kind.T2I,
        "AnimateLCM_sd15_t2v.safetensors": Kind.MOTION_MODULE,
        "AnimateLCM_sd15_t2v_lora.safetensors": Kind.LORA,
        "own.safetensors": Kind.MOTION_MODULE,
        "there.safetensors": Kind.T2I,
        "lora.safetensors": Kind.LORA,
        "fine.safetensors": Kind.VAE,
    }
    assert names(look(folder)) == expected
    assert names(look(folder.parent)) == expected, "the portable edition has it one folder further down"


def test_invokeai(tmp_path: Path) -> None:
    in_place = tools.model(tmp_path / "elsewhere" / "in_place.safetensors", tools.SD1)
    folder = tools.invokeai(tmp_path / "invokeai", in_place)
    before = state(folder)
    assert names(look(folder)) == {"inv.safetensors": Kind.T2I, "in_place.safetensors": Kind.T2I}
    assert state(folder) == before, "not even a journal beside the database"


@pytest.mark.parametrize("inner", ["", "hub"])
def test_hugging_faces_cache(tmp_path: Path, inner: str) -> None:
    folder = tools.hub_cache(tmp_path / "huggingface")
    scan = look(folder / inner)
    assert sorted((found.title, found.kind) for found in scan.found) == [("dream", Kind.T2I), ("painter", Kind.T2I)]
    (dream,) = [found for found in scan.found if found.title == "dream"]
    assert "snapshots" in dream.path, "a name that stays, not a blob's"
    assert "b" * 40 in dream.path, "the newest"


def test_any_folder(tmp_path: Path) -> None:
    tools.model(tmp_path / "a" / "b" / "lavie.safetensors", tools.LAVIE)
    tools.diffusers(tmp_path / "a" / "painter")
    tools.diffusers(tmp_path / "zeroscope", "UNet3DConditionModel", 1024)
    tools.model(tmp_path / "a" / "painter" / "beside.safetensors", tools.SD1)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "a" / ".unfinished.safetensors.part").write_bytes(b"x")
    scan = look(tmp_path)
    assert names(scan) == {
        "lavie.safetensors": Kind.T2V,
        "painter": Kind.T2I,
        "zeroscope": Kind.T2V,
        "beside.safetensors": Kind.T2I,
    }
    assert names(look(tmp_path / "a" / "painter" / "beside.safetensors")) == {"beside.safetensors": Kind.T2I}


def test_links_that_lead_in_a_circle_and_twice_to_one_file(tmp_path: Path) -> None:
    file = tools.model(tmp_path / "a" / "one.safetensors", tools.SD1)
    (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "two.safetensors").symlink_to(file)
    (tmp_path / "gone.safetensors").symlink_to(tmp_path / "nowhere")
    assert len(look(tmp_path).found) == 1


# Reads -----------------------------------------------------------------------------------------------------------


def test_each_file_is_opened_once_and_never_again(tmp_path: Path) -> None:
    """600 files: what makes 500 a second possible is that only headers are read, and each once."""
    folder = tmp_path / "many"
    for n in range(600):
        tools.model(folder / f"{n % 7}" / f"{n}.safetensors", tools.LORA if n % 10 else tools.SD1)
    with opened(folder) as first:
        assert look(folder).read == 600
    files = [name for name in first if name.endswith(".safetensors")]
    assert sorted(files) == sorted(map(str, folder.rglob("*.safetensors")))
    with opened(folder) as second:
        again = look(folder)
    assert again.read == 0
    assert not [name for name in second if name.endswith(".safetensors")]
    assert len(again.found) == 600


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells how much was read")
def test_headers_alone_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "large"
    for n in range(20):
        file = tools.model(folder / f"{n}.safetensors", tools.LORA)
        with file.open("r+b") as opened_file:
            opened_file.truncate(1 << 30)

    def read() -> int:
        return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])

    before = read()
    assert look(folder).read == 20
    assert read() - before < 1_000_000


def test_what_has_changed_is_read_again(tmp_path: Path) -> None:
    file = tools.model(tmp_path / "x.safetensors", tools.LORA)
    tools.model(tmp_path / "y.safetensors", tools.LORA)
    look(tmp_path)
    tools.model(file, tools.VAE)
    scan = look(tmp_path)
    assert scan.read == 1
    assert names(scan)["x.safetensors"] is Kind.VAE
    file.unlink()
    assert set(names(look(tmp_path))) == {"y.safetensors"}


def test_what_is_gone_is_forgotten_at_the_next_change(tmp_path: Path) -> None:
    file = tools.model(tmp_path / "a" / "x.safetensors", tools.LORA)
    look(tmp_path)
    file.unlink()
    tools.model(tmp_path / "a" / "y.safetensors", tools.LORA)
    look(tmp_path)
    assert b"x.safetensors" not in memory_file().read_bytes()
    assert b"y.safetensors" in memory_file().read_bytes()


def test_an_interrupted_look_was_not_in_vain(tmp_path: Path) -> None:
    for n in range(9):
        tools.model(tmp_path / f"{n}.safetensors", tools.LORA)

    def told(count: int) -> None:
        if count == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look_through([tmp_path], torch=False, told=told)
    assert look(tmp_path).read == 4


def test_a_damaged_memory_costs_nothing_but_time(tmp_path: Path) -> None:
    tools.model(tmp_path / "x.safetensors", tools.LORA)
    look(tmp_path)
    memory_file().write_bytes(b'{"version": 1, "seen": {"x": 5}}')
    assert look(tmp_path).read == 1
    assert look(tmp_path).read == 0


# What cannot be used ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x08\0\0\0\0\0\0\0{garbage", "damaged"),
    ],
)
def test_what_is_no_model_is_a_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    (found,) = look(tmp_path).found
    assert says in found.problem
    assert found.kind is None
    assert look(tmp_path).read == 0, "it is remembered, too"


def test_a_folder_without_its_weights(tmp_path: Path) -> None:
    """As when a download into the cache was broken off."""
    folder = tools.diffusers(tmp_path / "half")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (found,) = look(tmp_path).found
    assert found.problem.endswith(
        "unet holds no weights; put the file there, such as diffusion_pytorch_model.safetensors."
    )
    assert not pairs([found])


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFailure) as told:
        look(tmp_path / "nowhere")
    assert told.value.code == "no_folder"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may look anywhere")
def test_a_folder_that_may_not_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0)
    assert "cannot be looked at" in look(tmp_path).notes[0]


def test_a_whole_disk_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(9):
        tools.model(tmp_path / str(n) / "x.safetensors", tools.LORA)
    monkeypatch.setattr(scanning, "MOST_ENTRIES", 12)
    scan = look(tmp_path)
    assert "more than 12 files" in scan.notes[0]
    assert 0 < len(scan.found) < 9


# Files of PyTorch, and the user's own folder -----------------------------------------------------------------------


def test_files_of_pytorch_are_known_without_torch(tmp_path: Path) -> None:
    write("motion_v2", tmp_path / "mm_sd_v15_v2.ckpt", "tiny")
    (found,) = look(tmp_path).found
    assert (found.kind, found.layout, found.problem) == (Kind.MOTION_MODULE, Layout.ANIMATEDIFF, "")


def test_those_that_torch_alone_understands_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_torch(path: Path, *, torch: bool) -> Identity:
        if not torch:
            raise NeedsTorch("What it holds is known once it is loaded.")
        return identify(path)

    monkeypatch.setattr(scanning, "identify", with_torch)
    write("motion_v2", tmp_path / "mm_sd_v15_v2.ckpt", "tiny")
    (found,) = look(tmp_path).found
    assert (found.kind, found.problem) == (None, NOT_YET)
    (found,) = look_through([tmp_path], torch=True).found
    assert (found.kind, found.layout, found.problem) == (Kind.MOTION_MODULE, Layout.ANIMATEDIFF, "")
    assert look(tmp_path).found == (found,)


CODE = """
import sys
from backend.models.scanning import own_models
print(len(own_models().found), "torch" in sys.modules)
"""


def test_the_users_own_folder_is_looked_through_without_torch(tmp_path: Path) -> None:
    assert own_models().found == ()
    tools.model(places.models_folder() / "dream" / "dream.safetensors", tools.SD1)
    write("motion_v2", places.models_folder() / "mm.ckpt", "tiny")
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_true_files_of_every_kind_are_found(tmp_path: Path) -> None:
    """Random weights under the published names."""
    for family, name in {
        "sd1": "sd15.safetensors",
        "sd2": "sd21.safetensors",
        "motion_v3": "v3_sd15_mm.ckpt",
        "lightning": "animatediff_lightning_4step_diffusers.safetensors",
        "lavie": "lavie_base.pt",
        "lora_lcm": "AnimateLCM_sd15_t2v_lora.safetensors",
    }.items():
        write(family, tmp_path / name, "tiny")
    scan = look_through([tmp_path], torch=True)
    assert names(scan) == {
        "sd15.safetensors": Kind.T2I,
        "sd21.safetensors": Kind.T2I,
        "v3_sd15_mm.ckpt": Kind.MOTION_MODULE,
        "animatediff_lightning_4step_diffusers.safetensors": Kind.MOTION_MODULE,
        "lavie_base.pt": Kind.T2V,
        "AnimateLCM_sd15_t2v_lora.safetensors": Kind.LORA,
    }


@pytest.mark.parametrize(
    ("there", "one"),
    [
        ({"model_index.json"}, True),
        ({"unet"}, False),
        ({"config.json"}, False),
        ({"config.json", "model.safetensors"}, True),
        ({"config.json", "model.json"}, False),
        ({"pytorch_lora_weights.safetensors"}, True),
        (set(), False),
    ],
)
def test_what_makes_a_folder_one_model(tmp_path: Path, there: set[str], one: bool) -> None:
    assert is_one_model(tmp_path, there) is one


def test_each_part_of_a_folder_is_needed(tmp_path: Path) -> None:
    for part in ("vae", "text_encoder"):
        folder = tools.diffusers(tmp_path / part)
        (folder / part).rename(tmp_path / f"{part} away")
        (found,) = look(folder).found
        assert found.problem == f"{folder} has no folder {part}; put it there, or choose a whole model."
    video = tools.diffusers(tmp_path / "video", "UNet3DConditionModel", 1024)
    for part in ("vae", "text_encoder"):
        (video / part).rename(tmp_path / f"video {part}")
    assert [found.problem for found in look(video).found] == [""], "these come from the text-to-image model"


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tools.model(tmp_path / "x.safetensors", tools.LORA)

    def locked(path: Path, *, torch: bool) -> Identity:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(scanning, "identify", locked)
        (found,) = look(tmp_path).found
    assert (found.problem, found.kind) == (f"{file} cannot be read (Permission denied).", None)
    assert (found.size, found.title) == (file.stat().st_size, "x")


def test_a_folder_that_cannot_be_looked_at_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/x", "b/x"):
        tools.model(tmp_path / f"{name}.safetensors", tools.LORA)
    real = os.scandir

    def locked(path: Path) -> Any:
        if Path(path) == tmp_path / "a":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", locked)
    scan = look(tmp_path)
    assert [Path(found.path).parent.name for found in scan.found] == ["b"]
    assert scan.notes == (f"{tmp_path / 'a'} cannot be looked at (Permission denied).",)


def test_hidden_files_and_what_tools_keep_for_themselves_are_left_out(tmp_path: Path) -> None:
    for name in (".hidden/x", "blobs/x", "__pycache__/x", "node_modules/x", "seen/.x"):
        tools.model(tmp_path / f"{name}.safetensors", tools.LORA)
    tools.model(tmp_path / "seen" / "x.safetensors", tools.LORA)
    (tmp_path / "seen" / "folder.safetensors").mkdir()
    assert [found.path for found in look(tmp_path).found] == [str(tmp_path / "seen" / "x.safetensors")]


def test_a_folders_size_and_time_are_those_of_all_its_files(tmp_path: Path) -> None:
    folder = tools.diffusers(tmp_path / "painter")
    (folder / "blobs").mkdir()
    (folder / "blobs" / "x").write_bytes(b"12345")
    newest = folder / "vae" / "config.json"
    os.utime(newest, ns=(10**18 * 3, 10**18 * 3))
    (found,) = look(folder).found
    files = [path for path in folder.rglob("*") if path.is_file() and "blobs" not in path.parts]
    assert (found.size, found.changed_ns) == (sum(path.stat().st_size for path in files), 10**18 * 3)
    assert look(folder).read == 0
    newest.write_text(newest.read_text() + " ")
    os.utime(newest, ns=(10**18 * 3, 10**18 * 3))
    assert look(folder).read == 1


def test_a_memory_of_another_version_or_none_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.model(tmp_path / "x.safetensors", tools.LORA)
    look(tmp_path)
    memory_file().write_bytes(memory_file().read_bytes().replace(b'"version":2', b'"version":3'))
    assert look(tmp_path).read == 1

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    memory_file().unlink()
    monkeypatch.setattr(scanning, "write", full)
    assert [look(tmp_path).read for _ in range(2)] == [1, 1]


def test_those_who_look_are_told_how_many_there_are_so_far(tmp_path: Path) -> None:
    for n in range(3):
        tools.model(tmp_path / f"{n}.safetensors", tools.LORA)
    told: list[int] = []
    look_through([tmp_path], torch=False, told=told.append)
    assert told == [1, 2, 3]


def test_a_cache_of_the_hub_that_names_no_newest(tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    for name, ref in (("models--me--a", None), ("models--me--b", "f" * 40), ("models--me--c", "")):
        tools.model(cache / name / "snapshots" / ("e" * 40) / f"{name[-1]}.safetensors", tools.LORA)
        if ref is not None:
            (cache / name / "refs").mkdir()
            (cache / name / "refs" / "main").write_text(ref)
    scan = look(cache)
    assert sorted(names(scan)) == ["a.safetensors", "b.safetensors", "c.safetensors"]
    assert {place.path for place in scan.places} == {path / "snapshots" for path in cache.iterdir()}


def test_invokeais_database_may_be_damaged_or_missing(tmp_path: Path) -> None:
    folder = tools.invokeai(tmp_path / "invokeai", tmp_path / "gone.safetensors")
    (folder / "databases" / "invokeai.db").write_bytes(b"no database")
    assert names(look(folder)) == {"inv.safetensors": Kind.T2I}
    (folder / "databases" / "invokeai.db").unlink()
    assert names(look(folder)) == {"inv.safetensors": Kind.T2I}
    (folder / "invokeai.yaml").write_text("")
    tools.model(folder / "models" / "own.safetensors", tools.LORA)
    assert names(look(folder)) == {"own.safetensors": Kind.LORA}, "where it has them unless told"


def test_a_list_of_folders_in_another_encoding_or_too_large(tmp_path: Path) -> None:
    file = tmp_path / "extra_model_paths.yaml"
    for encoding in ("utf-8", "utf-16", "latin-1"):
        file.write_bytes("# é\na:\n  base_path: /b\n  loras: x\n".encode(encoding))
        assert [path.as_posix() for path in extra_paths(file)] == ["/b/x"]
    text = "a:\n  base_path: /b\n  loras: x\n"
    for size, paths in ((1 << 20, ["/b/x"]), ((1 << 20) + 1, [])):
        file.write_text(text + "#" * (size - len(text)))
        assert [path.as_posix() for path in extra_paths(file)] == paths


# Pairs -----------------------------------------------------------------------------------------------------------


def found(name: str, kind: Kind, family: Family = Family.SD1, layout: Layout = Layout.LDM, **more: Any) -> Found:
    return Found(
        path=f"/m/{name}", size=1, changed_ns=1, kind=kind, family=family, layout=layout, title=Path(name).stem, **more
    )


T2I = found("dream.safetensors", Kind.T2I, channels=4)
SD2 = found("sd21.safetensors", Kind.T2I, Family.SD2)
MOTION = found("mm_sd_v15_v2.ckpt", Kind.MOTION_MODULE, layout=Layout.ANIMATEDIFF)
LCM = found("AnimateLCM_sd15_t2v.ckpt", Kind.MOTION_MODULE, layout=Layout.ANIMATEDIFF, distilled="animatelcm")
LIGHTNING = found(
    "animatediff_lightning_4step.safetensors", Kind.MOTION_MODULE, layout=Layout.DIFFUSERS, distilled="lightning"
)
ZEROSCOPE = found("zeroscope", Kind.T2V, Family.SD2, Layout.FOLDER)
LAVIE = found("lavie_base.pt", Kind.T2V, layout=Layout.LAVIE)


def test_which_pairs_fit_and_with_which_presets(tmp_path: Path) -> None:
    made = pairs([T2I, SD2, MOTION, LCM, LIGHTNING, ZEROSCOPE, LAVIE])
    assert [(pair.t2i.title, pair.t2v.title, pair.presets) for pair in made] == [
        ("dream", "mm_sd_v15_v2", "animatediff"),
        ("dream", "AnimateLCM_sd15_t2v", "animatelcm"),
        ("dream", "animatediff_lightning_4step", "lightning"),
        ("dream", "zeroscope", "zeroscope"),
        ("sd21", "zeroscope", "zeroscope"),
        ("dream", "lavie_base", "lavie"),
        ("sd21", "lavie_base", "lavie"),
    ]


def test_animatelcms_lora_is_named_with_its_modules(tmp_path: Path) -> None:
    folder = tools.comfyui(tmp_path / "ComfyUI")
    by_motion = {Path(pair.t2v.path).name: pair.t2v_lora for pair in pairs(look(folder).found)}
    lora = by_motion["AnimateLCM_sd15_t2v.safetensors"]
    assert lora is not None
    assert lora.path.endswith("AnimateLCM_sd15_t2v_lora.safetensors")
    assert by_motion["own.safetensors"] is None


@pytest.mark.parametrize(
    "unfit",
    [
        found("xl.safetensors", Kind.T2I, Family.SDXL),
        found("flux.safetensors", Kind.T2I, Family.OTHER, Layout.OTHER),
        found("inpaint.safetensors", Kind.T2I, channels=9),
        found("unet.safetensors", Kind.UNET),
        found("broken.safetensors", Kind.T2I, problem="It is broken."),
    ],
    ids=lambda each: each.title,
)
def test_what_paints_no_style(unfit: Found) -> None:
    assert pairs([unfit, MOTION, ZEROSCOPE]) == []
    assert "text-to-image model" in why_not([unfit, MOTION])


def test_why_there_is_none() -> None:
    assert "No pair" in why_not([SD2, MOTION])
    assert "text-to-video model" in why_not([T2I])
    assert "first set" in why_not([])


# The little of YAML ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("a:\n  base_path: /b\n  loras: x\n", ["/b/x"]),
        ("a:\n  base_path: /b/\n  loras: /c/d\n", ["/c/d"]),
        ("a:\n  base_path: '/b c'\n  loras: \"x y\" # hm\n", ["/b c/x y"]),
        ("a:\n  loras: x\n", ["{here}/x"]),
        ("a:\n  base_path: ../up\n  loras: x\n", ["{up}/up/x"]),
        ("a:\n  base_path: /b\n  loras: |\n    x\n    y\n\n  vae: z\n", ["/b/x", "/b/y", "/b/z"]),
        ("a:\n  base_path: /b\n  loras:\n    - x\n    - y\n", ["/b/x", "/b/y"]),
        ("a:\n  base_path: /b\n  loras:\n  - x\n  vae: z\n", ["/b/x", "/b/z"]),
        ("a:\n  base_path: /b\n  loras: >-\n    x\nb:\n  base_path: /c\n  loras: x\n", ["/b/x", "/c/x"]),
        ("a:\r\n  base_path: /b\r\n  is_default: true\r\n  configs: q\r\n  loras: x#1\r\n", ["/b/x#1"]),
        ("\ufeffa: # one\n    base_path: /b\n    loras: ~/x\n", ["{home}/x"]),
        ("#a:\n#  base_path: /b\n", []),
        ("a:\n  base_path: /b\n", []),
        ("not yaml at all: [\n", []),
        ("", []),
    ],
)
def test_comfyuis_file_is_read(tmp_path: Path, text: str, paths: list[str]) -> None:
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "extra_model_paths.yaml"
    file.write_bytes(text.encode())
    home = os.path.expanduser("~")
    expected = [path.format(here=file.parent, up=tmp_path, home=home) for path in paths]
    assert [path.as_posix() for path in extra_paths(file)] == expected


def test_a_file_that_is_not_there_names_nothing(tmp_path: Path) -> None:
    assert extra_paths(tmp_path / "none.yaml") == []
