"""The commands about model files, as they are typed, against a hub on loopback."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.models.catalogue import read_catalogue
from backend.models.scanning import look_through
from backend.models.stock import place_of
from backend.styles.catalogue import read_catalogue as read_styles
from shared_protocol.machine import places
from tests.backend.commands import Call, caller
from tests.backend.models import tools
from tests.backend.models.conftest import BIG, LORA, alone, hub, write_catalogue  # noqa: F401  # fixtures, too
from tests.backend.models.hub_server import HubServer, cut
from tests.elevator.checkpoints.written import header


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(capsys)


@pytest.fixture
def models(hub: HubServer) -> HubServer:  # noqa: F811
    """The hub with a checkpoint and a motion module that are what they say."""
    text, size = header({"encoder.down.0.block.0.conv1.weight": (16, 16, 3, 3)})
    hub.files[BIG] = text + bytes(size)
    write_catalogue(hub)
    return hub


def types(lines: list[dict[str, object]]) -> list[object]:
    return [line["type"] for line in lines]


def test_list_says_what_there_is_and_what_is_here(models: HubServer, call: Call) -> None:
    told = call("models", "list")
    assert told.code == 0
    for words in ("dreamshaper_animatelcm", "4.08 GB", "8 GB", "pair_with_lora", str(places.models_folder())):
        assert words in told.out
    lines = {line["name"]: line for line in call("models", "list", "--all", "--json").lines}
    assert lines["pair"]["type"] == "ModelSet"
    assert lines["animatediff_v3"]["repo"] == "guoyww/animatediff"
    size = lines["big"]["size"]
    assert lines["big"]["missing"] == size
    assert call("models", "get", "big").code == 0
    lines = {line["name"]: line for line in call("models", "list", "--all", "--json").lines}
    assert (lines["big"]["missing"], lines["pair"]["missing"]) == (0, lines["pair"]["size"] - size)
    assert "partly" in call("models", "list").out


def test_get_says_licences_first_and_makes_a_style_last(models: HubServer, call: Call) -> None:
    done = call("models", "get", "pair")
    assert done.code == 0, done.err
    assert done.out.index("Free.") < done.out.index("All of pair is here")
    recipe = read_styles().recipes["pair"]
    assert recipe.sources.t2i == str(place_of("big", "big.safetensors"))
    assert recipe.sources.t2v == str(place_of("video"))
    assert done.out.endswith(f"generate '{recipe.style.example_prompt}' --style pair\n"), "the next step can be typed"
    style = places.config_folder() / "styles" / "pair.toml"
    style.write_text(style.read_text(encoding="utf-8") + "\n# mine\n", encoding="utf-8")
    assert "big/big.safetensors" in done.err, "progress goes there"
    again = call("models", "get", "pair", "--quiet")
    assert 'so is a style "pair", which stays as it is' in again.out
    assert style.read_text(encoding="utf-8").endswith("# mine\n")
    assert again.err == ""
    looked = look_through([place_of("big", "big.safetensors")], torch=False)
    assert (len(looked.found), looked.read) == (1, 0), "what came was looked at, so that those without torch know it"


def test_the_guides_first_style_is_what_is_typed_and_seen(
    models: HubServer, call: Call, root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes and licences are the catalogue's; what comes after the download is that of a set that the hub here has."""
    monkeypatch.chdir(root)
    guide = (root / "docs" / "MODELS.md").read_text(encoding="utf-8")
    session = guide.split("```console\n")[1].split("```")[0]
    (_, first, seen), (_, second, _) = re.findall(r"^(\$ (.*)\n)((?:[^$].*\n)*)", session, re.MULTILINE)
    name = "dreamshaper_animatelcm"
    *before, here, step = seen.splitlines()
    offline = call(*shlex.split(first)[1:], "--offline")
    assert offline.out.splitlines() == before
    done = call("models", "get", "pair")
    folder, prompt = str(home / "config"), read_catalogue().sets[name].example_prompt
    told = [
        line.replace("pair", name).replace(folder, "~/.config/video_elevator") for line in done.out.splitlines()[-2:]
    ]
    assert [here, step] == [told[0], told[1].replace("'a fox'", f"'{prompt}'")]
    assert step.endswith(second)


def test_get_for_scripts(models: HubServer, call: Call) -> None:
    models.faults[BIG] = [cut(1_000)]
    lines = call("models", "get", "pair", "--json").lines
    assert set(types(lines)) == {"Fetching", "GotFile", "Added"}
    assert (lines[-1]["type"], lines[-1]["name"]) == ("Added", "pair")
    last = [line for line in lines if line["type"] == "Fetching"][-1]
    assert last["bytes_done"] == last["bytes_total"]
    (got,) = [line for line in lines if line.get("model") == "big"]
    assert got["sha256"] == models.hash_of(BIG)
    assert types(call("models", "get", "pair", "--json", "--quiet").lines) == []


def test_what_fails_is_one_sentence_and_a_line_for_scripts(models: HubServer, call: Call) -> None:
    done = call("models", "get", "nothing", "--json")
    assert done.code == 1
    assert [done.lines[-1][name] for name in ("type", "code")] == ["Error", "model_unknown"]
    assert len(done.err.splitlines()) == 1
    refused = call("models", "get", "big", "--offline")
    assert refused.code == 1
    assert "--offline" in refused.err
    assert models.seen == []
    models.statuses[BIG] = [(404, {})]
    assert "no big.safetensors" in call("models", "get", "big").err


def test_verify_and_repair(models: HubServer, call: Call) -> None:
    assert "Nothing was got yet" in call("models", "verify").out
    call("models", "get", "pair")
    assert "All 3 files" in call("models", "verify", "--quiet").out
    place_of("big", "big.safetensors").unlink()
    failed = call("models", "verify", "--json", "--quiet")
    assert failed.code == 1
    assert types(failed.lines) == ["CheckedFile"] * 3 + ["Error"]
    assert failed.lines[-1]["code"] == "files_faulty"
    assert call("models", "verify", "video").code == 0, "the others alone"
    mended = call("models", "repair")
    assert "1 files were got again" in mended.out
    assert call("models", "verify").code == 0
    assert call("models", "verify", "lora").code == 1, "it was not got"


def test_remove_asks(models: HubServer, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("models", "get", "pair")
    refused = call("models", "remove", "pair")
    assert refused.code == 2
    assert "--yes" in refused.err
    for answer, code in (("n\n", 1), ("\n", 1), ("", 1), ("y\n", 0)):
        terminal = io.StringIO(answer)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", terminal)
        assert place_of("big", "big.safetensors").exists()
        assert call("models", "remove", "pair").code == code
    assert not place_of("big").exists()
    assert call("models", "remove", "pair", "--yes").code == 1, "there is nothing any more"


def test_remove_says_which_styles_use_it(models: HubServer, call: Call) -> None:
    call("models", "get", "pair")
    for name, text in {
        "bases/mine.toml": f"title = \"M\"\nt2i = '{place_of('big', 'big.safetensors')}'\nt2v = '{place_of('video')}'\n"
        'presets = "zeroscope"\n',
        "styles/mine.toml": 'title = "M"\nbase = "mine"\npreset = "fast"\nexample_prompt = "a fox"\n',
    }.items():
        (places.config_folder() / name).parent.mkdir(exist_ok=True)
        (places.config_folder() / name).write_text(text, encoding="utf-8")
    done = call("models", "remove", "video", "--yes", "--json")
    assert 'style "mine" uses' in done.err
    assert types(done.lines) == ["RemovedFile", "RemovedFile"]


def test_what_another_set_needs_is_not_removed(models: HubServer, call: Call) -> None:
    call("models", "get", "pair_with_lora")
    done = call("models", "remove", "pair")
    assert (done.code, done.err) == (0, "")
    assert done.out == "Another set that is here needs all of these files: nothing was removed.\n"
    assert place_of("big", "big.safetensors").exists()


def test_files_whose_hashes_nobody_tells_are_named(models: HubServer, call: Call) -> None:
    models.etags[LORA] = "unknown"
    done = call("models", "get", "pair_with_lora")
    assert "so they could not be compared: lora.safetensors." in done.out
    again = call("models", "verify", "lora", "--json", "--quiet").lines
    assert [line["problem"] for line in again] == [""]


def test_what_a_look_left_out_is_said(
    models: HubServer, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        tools.model(tmp_path / str(n) / "x.safetensors", tools.VAE)
    monkeypatch.setattr("backend.models.scanning.MOST_ENTRIES", 4)
    done = call("models", "scan", tmp_path)
    assert done.code == 0
    assert done.err == f"{tmp_path} holds more than 4 files: only a part was looked at.\n"


def test_a_folder_of_models_that_cannot_be_made_is_said(models: HubServer, call: Call) -> None:
    places.models_folder().parent.mkdir(parents=True, exist_ok=True)
    places.models_folder().write_text("a file in its place")
    for words in (("scan",), ("get", "big")):
        done = call("models", *words, "--json")
        assert (done.code, done.lines[-1]["code"]) == (5, "models_unwritable")


def test_sizes_are_those_of_what_is_there_and_missing(models: HubServer, call: Call) -> None:
    def here(name: str) -> str:
        (row,) = [line for line in call("models", "list", "--all").out.splitlines() if line.startswith(f"{name} ")]
        return re.split(r"  +", row)[4 if name == "pair" else 3]

    assert [here(name) for name in ("pair", "big", "video")] == ["no", "no", "no"]
    call("models", "get", "big")
    assert [here(name) for name in ("pair", "big", "video")] == ["partly", "yes", "no"]
    place_of("big", "big.safetensors").write_bytes(b"another")
    assert here("big") == "no"


def test_scan_says_in_plain_words_what_lies_there(models: HubServer, call: Call, tmp_path: Path) -> None:
    folder = tools.comfyui(tmp_path / "ComfyUI")
    (folder / "models" / "checkpoints" / "empty.safetensors").write_bytes(b"")
    done = call("models", "scan", folder)
    assert done.code == 0
    for words in ("of ComfyUI", "text-to-image checkpoint", "motion module", "SD 1.x", "is empty"):
        assert words in done.out
    assert "comfy (SD 1.x) with AnimateLCM_sd15_t2v and its LoRA AnimateLCM_sd15_t2v_lora" in done.out
    lines = call("models", "scan", folder, "--json").lines
    assert types(lines).count("FoundModel") == 5
    pairs = [line for line in lines if line["type"] == "FoundPair"]
    assert {line["presets"] for line in pairs} == {"animatelcm", "animatediff"}
    assert all(Path(line["t2i"]).exists() for line in pairs)


def test_scan_without_a_folder_looks_into_our_own(models: HubServer, call: Call) -> None:
    assert "gets a first set" in call("models", "scan").out
    tools.model(places.models_folder() / "dream.safetensors", tools.SD1)
    assert "A text-to-video model is lacking" in call("models", "scan").out
    assert call("models", "scan", "nowhere").code == 1


def test_many_pairs_are_not_all_shown(models: HubServer, call: Call, tmp_path: Path) -> None:
    for n in range(6):
        tools.model(tmp_path / f"dream{n}.safetensors", tools.SD1)
        tools.model(tmp_path / f"motion{n}.safetensors", tools.MOTION)
    done = call("models", "scan", tmp_path)
    assert "and 16 more" in done.out
    assert types(call("models", "scan", tmp_path, "--json").lines).count("FoundPair") == 36


def test_a_long_look_counts_in_a_terminal(
    models: HubServer, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(101):
        tools.model(tmp_path / f"{n}.safetensors", tools.VAE)
    assert call("models", "scan", tmp_path).err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    counted = call("models", "scan", tmp_path).err
    assert [words in counted for words in ("50 models so far", "100 models so far", "101")] == [True, True, False]


def test_export_and_import(models: HubServer, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("models", "get", "pair_with_lora")
    done = call("models", "export", tmp_path / "all.zip", "big")
    assert done.code == 0
    assert "4 files" in done.out, "the model, the user's catalogue, and the set's base and style"
    assert call("models", "export", tmp_path / "all.zip").code == 1
    monkeypatch.setenv("ELEVATOR_HOME", str(tmp_path / "other"))
    (line,) = call("models", "import", tmp_path / "all.zip", "--json", "--quiet").lines
    assert (line["type"], line["files"]) == ("Bundle", 4)
    assert call("models", "verify", "--quiet").code == 0
    assert "stays as it is" in call("models", "import", tmp_path / "all.zip").err
    assert call("models", "import", tmp_path / "none.zip").code == 1


def test_progress_is_a_bar_in_a_terminal_and_a_line_a_file_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.cli import model_lines
    from backend.cli.output import Output
    from backend.models.getting import Step

    clock = iter(range(100))
    monkeypatch.setattr(model_lines, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    seen = {}
    for live in (True, False):
        stderr = io.StringIO()
        monkeypatch.setattr(stderr, "isatty", lambda live=live: live)
        monkeypatch.setattr(sys, "stderr", stderr)
        progress = model_lines.FileProgress(Output(json=False), quiet=False)
        for done, seconds in ((0, None), (500_000_000, 40.0), (1_000_000_000, 0.0)):
            progress(Step("a/b.ckpt", done, 1_000_000_000, seconds))
        progress.end()
        seen[live] = stderr.getvalue()
    assert seen[False].splitlines() == [f"[{'.' * 30}] 0 kB of 1.00 GB  a/b.ckpt"]
    assert f"[{'#' * 15}{'.' * 15}] 500.0 MB of 1.00 GB  a/b.ckpt  40 s left" in seen[True]
    assert seen[True].endswith("\x1b[K")
    assert json.dumps(seen[True])
