"""Which LoRAs are listed with a style, under which names, and with which words."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from backend.server.requests import resolve
from backend.styles.catalogue import LISTED_BYTES, read_catalogue
from backend.styles.loras import by_name, fitting, listed
from elevator import Lora
from shared_protocol.messages import FILE_NAME_LENGTH, MOST_LORAS, Generate, LoraChoice, LoraView

FOLDER_FILE = "pytorch_lora_weights.safetensors"


def write(path: Path, **metadata: str) -> Path:
    """A safetensors file with one empty tensor and this metadata."""
    entry = {"w": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
    text = json.dumps({**entry, "__metadata__": metadata} if metadata else entry).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return path


def test_own_ones_come_first_and_are_named_as_in_their_folder(tmp_path: Path) -> None:
    own = write(tmp_path / "base" / "inks" / "x.safetensors")
    write(tmp_path / "base" / "a.safetensors")
    write(tmp_path / "mine" / "a.safetensors")
    write(tmp_path / "mine" / "deep" / "folder" / FOLDER_FILE)
    (tmp_path / "mine" / "notes.txt").touch()
    found = listed([Lora(str(own), 0.5)], [tmp_path / "base", tmp_path / "mine", tmp_path / "not there"])
    assert found == (
        LoraView(name="inks/x.safetensors", weight=0.5, own=True),
        LoraView(name="a.safetensors"),
        LoraView(name="deep/folder"),
    )


def test_those_that_a_style_has_switched_off_come_next_with_their_weights(tmp_path: Path) -> None:
    on, off = write(tmp_path / "a" / "on.safetensors"), write(tmp_path / "b" / "off.safetensors")
    write(tmp_path / "mine" / "more.safetensors")
    found = listed([Lora(str(on), 0.5)], [tmp_path / "mine"], spare=[Lora(str(off), 0.7)])
    assert found == (
        LoraView(name="on.safetensors", weight=0.5, own=True),
        LoraView(name="off.safetensors", weight=0.7),
        LoraView(name="more.safetensors"),
    )


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, ""),
        ({"modelspec.trigger_phrase": " inkstyle, sumi-e "}, "inkstyle, sumi-e"),
        ({"ss_tag_frequency": json.dumps({"10_ink": {"cat": 3, " inkstyle": 9, "dog": 1, "tree": 2}})},
         "inkstyle, cat, tree"),
        ({"ss_tag_frequency": "no JSON"}, ""),
        ({"ss_tag_frequency": json.dumps({"10_ink": "?"})}, ""),
        ({"modelspec.trigger_phrase": "w" * 500}, "w" * 119 + "…"),
    ],
)  # fmt: skip
def test_words_are_what_the_file_says(tmp_path: Path, metadata: dict[str, str], words: str) -> None:
    write(tmp_path / "l.safetensors", **metadata)
    (view,) = listed([], [tmp_path])
    assert view.words == words


def test_broken_files_are_listed_without_words(tmp_path: Path) -> None:
    (tmp_path / "l.safetensors").write_bytes(b"no model")
    (tmp_path / "m.pt").write_bytes(b"no model")
    assert [(view.name, view.words) for view in listed([], [tmp_path])] == [("l.safetensors", ""), ("m.pt", "")]


def test_a_file_that_is_called_as_all_are_has_its_folders_name() -> None:
    """As the LoRAs of the hub for the camera are, each in a folder of its own."""
    left, right = (Lora(f"/m/camera_pan_{side}/diffusion_pytorch_model.safetensors", 1.0) for side in ("left", "right"))
    assert by_name([left, right], []) == {"camera_pan_left": left, "camera_pan_right": right}


def test_pefts_folders_are_one_lora_each(tmp_path: Path) -> None:
    write(tmp_path / "one" / "adapter_model.safetensors", **{"modelspec.trigger_phrase": "ink"})
    write(tmp_path / "two" / "unet" / "adapter_model.safetensors")
    write(tmp_path / "two" / "text_encoder" / "adapter_model.safetensors")
    assert listed([], [tmp_path]) == (LoraView(name="one", words="ink"), LoraView(name="two"))


def test_two_files_of_one_name_have_two_names() -> None:
    first, second = Lora("/a/x.pt", 1.0), Lora("/b/x.pt", 0.5)
    assert by_name([first, second], []) == {"x.pt": first, "x.pt (2)": second}


def test_no_more_are_listed_than_a_message_holds(tmp_path: Path) -> None:
    for number in range(MOST_LORAS + 5):
        (tmp_path / f"{number}.pt").touch()
    found = listed([], [tmp_path])
    assert len(found) == MOST_LORAS
    room = 1000
    some = fitting(found, room)
    assert 0 < len(some) < MOST_LORAS
    assert some == found[: len(some)]
    assert len(msgspec.json.encode(some)) <= room + 2 < len(msgspec.json.encode(found[: len(some) + 1]))


def test_all_styles_together_stay_within_a_message(home: Path) -> None:
    for number in range(MOST_LORAS):
        (home / "config" / "loras").mkdir(parents=True, exist_ok=True)
        (home / "config" / "loras" / f"{number:0190}.pt").touch()
    styles = home / "config" / "styles"
    styles.mkdir(parents=True)
    for number in range(20):
        text = f'title = "{number}"\nbase = "embedded"\npreset = "fast"\nexample_prompt = "a fox"\n'
        (styles / f"s{number}.toml").write_text(text, encoding="utf-8")
    catalogue = read_catalogue()
    assert not catalogue.notes
    assert all(style.loras for style in catalogue.styles)
    assert len(msgspec.json.encode(catalogue.styles)) < LISTED_BYTES * 1.1


def request(*loras: LoraChoice) -> Generate:
    return Generate(job="0" * 32, prompt="a", style="neon", frames=1, width=64, height=64, seed=1, loras=loras)


@pytest.mark.parametrize(
    ("choices", "weights"),
    [
        ((), {"neon": 0.9}),
        ((LoraChoice(name="neon", weight=0.3),), {"neon": 0.3}),
        ((LoraChoice(name="neon", weight=0),), {}),
        ((LoraChoice(name="sketch", weight=0),), {"neon": 0.9}),
        ((LoraChoice(name="sketch", weight=-0.5),), {"neon": 0.9, "sketch": -0.5}),
    ],
)
def test_a_choice_takes_the_place_of_the_styles_own(
    home: Path, choices: tuple[LoraChoice, ...], weights: dict[str, float]
) -> None:
    order, _ = resolve(request(*choices), read_catalogue(), fake=True)
    assert {Path(lora.path).name: lora.weight for lora in order.sources.loras} == weights


def test_the_delivered_styles_list_theirs(home: Path) -> None:
    styles = {style.name: style for style in read_catalogue().styles}
    assert styles["neon"].loras[0] == LoraView(name="neon", weight=0.9, own=True)
    assert {view.name for view in styles["plain"].loras} == {"neon", "pixel_art", "sketch"}
    assert not any(view.own for view in styles["plain"].loras)
    published, *shorter = styles["plain"].calls
    assert len(shorter) == len(styles["plain"].presets) - 1
    assert published > max(shorter)


def test_links_of_the_owner_are_followed_and_no_folder_twice(tmp_path: Path) -> None:
    far = write(tmp_path / "far" / "Ink.safetensors")
    write(tmp_path / "far" / "deep" / "x.safetensors")
    folder = tmp_path / "loras"
    folder.mkdir()
    (folder / "link.safetensors").symlink_to(far)
    (folder / "more").symlink_to(tmp_path / "far", target_is_directory=True)
    (tmp_path / "far" / "round").symlink_to(folder, target_is_directory=True)
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    names = [view.name for view in listed((), [folder])]
    assert names == ["link.safetensors", "more/Ink.safetensors", "more/deep/x.safetensors"]


def test_a_style_may_have_as_many_as_a_message_can_list(tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    own = [Lora(str(folder / f"{number:04}.pt")) for number in range(MOST_LORAS + 1)]
    found = listed(own[:-2], [folder], in_folder=lambda _: tuple(LoraView(name=f"x{n}") for n in range(3)))
    assert len(found) == MOST_LORAS
    assert [view.name for view in found[-2:]] == [f"{MOST_LORAS - 2:04}.pt", "x0"]
    found = listed(own, [folder])
    assert [view.name for view in found] == [f"{number:04}.pt" for number in range(MOST_LORAS)]
    unsent = Lora(str(folder / "a\nb.pt"))
    assert [view.name for view in listed([unsent, own[0]], [folder])] == ["0000.pt"]


def test_the_longest_name_can_be_sent(tmp_path: Path) -> None:
    for length in (FILE_NAME_LENGTH, FILE_NAME_LENGTH + 1):
        path = Path("a" * 90, "a" * 90, "b" * (length - 182 - 3) + ".pt")
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert [len(view.name) for view in listed([], [tmp_path])] == [FILE_NAME_LENGTH]


def test_two_of_one_name_have_each_its_own(tmp_path: Path) -> None:
    own = [Lora(f"/{folder}/ink.pt", weight) for folder, weight in (("a", 0.1), ("b", 0.2), ("c", 0.3))]
    assert [(view.name, view.weight) for view in listed(own, [])] == [
        ("ink.pt", 0.1),
        ("ink.pt (2)", 0.2),
        ("ink.pt (3)", 0.3),
    ]


def test_tags_of_all_folders_count_and_each_is_told_once(tmp_path: Path) -> None:
    told = {"1_a": {"ink": 5, "cat": 1}, "2_b": {"ink": 4, "dog": 3, "fox": 2}}
    write(tmp_path / "l.safetensors", ss_tag_frequency=json.dumps(told))
    (view,) = listed([], [tmp_path])
    assert view.words == "ink, dog"


def test_what_has_room_is_counted_to_the_byte() -> None:
    views = [LoraView(name="a"), LoraView(name="b")]
    size = len(msgspec.json.encode(views[0])) + 1
    assert fitting(views, size - 1) == ()
    assert fitting(views, size) == (views[0],)
    assert fitting(views, 2 * size) == tuple(views)
