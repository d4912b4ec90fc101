"""From a request to an order: what it names is found, and both ends of every range are allowed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from backend.failures import BackendError
from backend.root import ROOT
from backend.server import requests as requests_module
from backend.server.requests import EXAMPLE, MOST_PIXELS, resolve, resolve_conform
from backend.styles.catalogue import Catalogue, read_catalogue
from backend.styles.recipes import MOST_STEPS, total_calls
from elevator.checkpoints.fitting import Misfit
from shared_protocol.messages import MOST_CLIP_FRAMES, Conform, Generate, LoraChoice
from tests.backend.orders import done

JOB, SOURCE = "0" * 32, "1" * 32
FIRST, SECOND, ANCHOR = ("a" * 64, "b" * 64, "c" * 64)


def request(**fields: object) -> Generate:
    small = {"prompt": "a cat", "style": "plain", "frames": 2, "width": 64, "height": 64, "seed": 1}
    return Generate(job=JOB, **{**small, **fields})  # type: ignore[arg-type]


@pytest.fixture
def catalogue(home: Path) -> Catalogue:
    return read_catalogue()


def test_an_order_names_its_pictures_by_their_hashes(catalogue: Catalogue, tmp_path: Path) -> None:
    asked = request(footage=(SECOND, FIRST), strength=0.5, anchor=ANCHOR)
    order, _ = resolve(asked, catalogue, fake=True, upload=lambda sha256: tmp_path / f"{sha256}.png")
    assert (order.footage, order.anchor) == ((SECOND, FIRST), ANCHOR), "in their order"
    assert order.strength == 0.5
    bare, _ = resolve(request(), catalogue, fake=True)
    assert (bare.footage, bare.anchor, bare.strength) == ((), None, 1.0)


@pytest.mark.parametrize("fields", [{"footage": (FIRST, SECOND)}, {"anchor": ANCHOR}])
def test_pictures_that_were_not_uploaded_are_said(catalogue: Catalogue, fields: dict[str, object]) -> None:
    with pytest.raises(BackendError) as caught:
        resolve(request(**fields), catalogue, fake=True)
    assert caught.value.code == "footage_missing"


@pytest.mark.parametrize(
    "fields", [{"footage": (FIRST,)}, {"footage": (FIRST,) * 3}, {"strength": 0.5}, {"preset": "none such"}]
)
def test_what_does_not_fit_together_is_refused(catalogue: Catalogue, fields: dict[str, object]) -> None:
    with pytest.raises(BackendError) as caught:
        resolve(request(**fields), catalogue, fake=True, upload=lambda sha256: Path(sha256))
    assert caught.value.code == "bad_request"


def test_loras_are_found_in_the_bases_folder_and_in_the_users(catalogue: Catalogue, home: Path) -> None:
    own = home / "config" / "loras"
    (own / "inks").mkdir(parents=True)
    (own / "inks" / "x").touch()
    (own / "sketch").touch()
    names = (LoraChoice(name="inks/x", weight=-4), LoraChoice(name="sketch", weight=4), LoraChoice(name="neon"))
    order, _ = resolve(request(loras=names), catalogue, fake=True)
    ours = ROOT / "elevator" / "embedded" / "weights" / "loras"
    assert [(Path(lora.path), lora.weight) for lora in order.sources.loras] == [
        (own / "inks" / "x", -4),
        (ours / "sketch", 4),
        (ours / "neon", 1),
    ]


def test_a_lora_that_the_style_has_switched_off_can_be_put_on(home: Path) -> None:
    styles = home / "config" / "styles"
    styles.mkdir(parents=True)
    off = home / "elsewhere" / "off.safetensors"
    text = f"""title = "Mine"\nbase = "embedded"\npreset = "draft"\nexample_prompt = "x"
loras = [{{ name = "neon" }}, {{ path = '{off}', weight = 0.5, on = false }}]\n"""
    (styles / "mine.toml").write_text(text, encoding="utf-8")
    catalogue = read_catalogue()
    order, _ = resolve(request(style="mine"), catalogue, fake=True)
    assert [Path(lora.path).name for lora in order.sources.loras] == ["neon"]
    on = (LoraChoice(name="off.safetensors", weight=0.7), LoraChoice(name="neon", weight=0))
    order, _ = resolve(request(style="mine", loras=on), catalogue, fake=True)
    assert [(Path(lora.path), lora.weight) for lora in order.sources.loras] == [(off, 0.7)]


@pytest.mark.parametrize("name", ["t2i", "../t2i", "none such", "/etc/passwd", "weights/loras/sketch"])
def test_nothing_but_loras_can_be_named(catalogue: Catalogue, name: str) -> None:
    """The folder around the LoRAs holds the base's models, and the one around that everything."""
    with pytest.raises(BackendError) as caught:
        resolve(request(loras=(LoraChoice(name=name),)), catalogue, fake=True)
    assert caught.value.code == "lora_missing"


def test_a_style_makes_both_ends_of_its_ranges_and_nothing_beyond(catalogue: Catalogue) -> None:
    for recipe in catalogue.recipes.values():
        style = recipe.style
        for side in ("width", "height"):
            fit = {"style": style.name, "width": style.width, "height": style.height, "frames": 1}
            for pixels in (style.min_size, style.max_size):
                order, _ = resolve(request(**{**fit, side: pixels}), catalogue, fake=True)
                assert getattr(order, side) == pixels
            beyond = (style.min_size - style.size_step, style.max_size + style.size_step, style.width + 1)
            for pixels in (pixels for pixels in beyond if pixels >= 8):
                with pytest.raises(BackendError) as caught:
                    resolve(request(**{**fit, side: pixels}), catalogue, fake=True)
                assert caught.value.code == "size_out_of_range"
        assert (
            resolve(request(**{**fit, "frames": style.max_frames}), catalogue, fake=True)[0].frames == style.max_frames
        )
        with pytest.raises(BackendError) as caught:
            resolve(request(**{**fit, "frames": style.max_frames + 1}), catalogue, fake=True)
        assert caught.value.code == "frames_out_of_range"


def test_a_plan_may_have_as_many_steps_as_models_were_trained_with(catalogue: Catalogue) -> None:
    order, _ = resolve(request(settings={"steps": MOST_STEPS}), catalogue, fake=True)
    assert order.plan.steps == MOST_STEPS
    with pytest.raises(BackendError, match="1001 steps are too many"):
        resolve(request(settings={"steps": MOST_STEPS + 1}), catalogue, fake=True)


def test_a_clip_with_new_pictures_has_its_result_at_their_rate(catalogue: Catalogue) -> None:
    order, _ = resolve(request(frames=4, flow_fps_numerator=24000, flow_fps_denominator=1001), catalogue, fake=True)
    assert (order.frames, order.fps, order.flow_fps) == (4, 8.0, (24000, 1001))
    assert (order.result_frames, order.result_fps) == (12, Fraction(24000, 1001))
    plain, _ = resolve(request(frames=4), catalogue, fake=True)
    assert (plain.flow_fps, plain.result_frames, plain.result_fps) == (None, 4, Fraction(8))


def test_new_pictures_may_not_be_too_many(catalogue: Catalogue) -> None:
    order, _ = resolve(request(frames=1, flow_fps_numerator=8 * MOST_CLIP_FRAMES), catalogue, fake=True)
    assert order.result_frames == MOST_CLIP_FRAMES
    with pytest.raises(BackendError, match="16392 frames, and 16384 at most"):
        resolve(request(frames=1, flow_fps_numerator=8 * MOST_CLIP_FRAMES + 64), catalogue, fake=True)


def test_a_longest_clip_can_be_conformed_and_no_longer_one() -> None:
    source = msgspec.structs.replace(done(SOURCE), frames=1024, fps_numerator=8)
    request = Conform(job=JOB, source=SOURCE, fps_numerator=128)
    order = resolve_conform(request, source, Path("/results/1"))
    assert order.frames == MOST_CLIP_FRAMES == 16 * 1024
    assert (order.source, order.source_frames, order.source_fps, order.fps) == (
        str(Path("/results/1")),
        1024,
        (8, 1),
        (128, 1),
    )
    with pytest.raises(BackendError, match="16400 frames, and 16384 at most"):
        resolve_conform(request, msgspec.structs.replace(source, frames=1025), Path("/results/1"))


def test_a_lora_behind_a_link_of_the_owner_is_used(catalogue: Catalogue, home: Path, tmp_path: Path) -> None:
    far, own = tmp_path / "disk", home / "config" / "loras"
    far.mkdir()
    own.mkdir(parents=True)
    (far / "ink.safetensors").touch()
    (own / "link.safetensors").symlink_to(far / "ink.safetensors")
    (own / "more").symlink_to(far, target_is_directory=True)
    for name in ("link.safetensors", "more/ink.safetensors"):
        order, _ = resolve(request(loras=(LoraChoice(name=name),)), catalogue, fake=True)
        assert Path(order.sources.loras[-1].path) == own / name
    for name in ("more/../ink.safetensors", "more/absent", f"{far}/ink.safetensors"):
        with pytest.raises(BackendError) as caught:
            resolve(request(loras=(LoraChoice(name=name),)), catalogue, fake=True)
        assert caught.value.code == "lora_missing"


@pytest.mark.parametrize("name", ["Ink", "ink.safetensors", "Imk.safetensors"])
def test_a_lora_that_may_be_meant_is_named(home: Path, name: str) -> None:
    own = home / "config" / "loras"
    own.mkdir(parents=True)
    (own / "Ink.safetensors").touch()
    with pytest.raises(BackendError, match=r'"Ink\.safetensors" may be meant'):
        resolve(request(loras=(LoraChoice(name=name),)), read_catalogue(), fake=True)


def refused(catalogue: Catalogue, *, fake: bool = True, **fields: object) -> BackendError:
    """Why this cannot be made."""
    with pytest.raises(BackendError) as caught:
        resolve(request(**fields), catalogue, fake=fake)
    return caught.value


def test_a_style_that_is_not_there_is_said_with_those_that_are(catalogue: Catalogue) -> None:
    said = refused(catalogue, style="none such")
    assert said.code == "unknown_style"
    assert all(name in said.next_step for name in catalogue.recipes)
    assert "none exist" in refused(replace(catalogue, recipes={}), style="none such").next_step
    broken = refused(replace(catalogue, skipped={"mine": "it has no title"}), style="mine")
    assert "it has no title" in broken.sentence
    assert broken.next_step.startswith("Mend that file, or choose one of these: ")


def test_a_preset_that_is_not_there_is_said_with_those_that_are(catalogue: Catalogue) -> None:
    said = refused(catalogue, preset="none such")
    assert all(preset in said.sentence for preset in catalogue.recipes["plain"].presets)
    order, _ = resolve(request(preset="draft"), catalogue, fake=True)
    assert (order.preset, order.plan) == ("draft", catalogue.recipes["plain"].presets["draft"])
    order, _ = resolve(request(), catalogue, fake=True)
    assert (order.preset, order.plan) == (catalogue.recipes["plain"].style.preset, catalogue.recipes["plain"].plan)


def test_a_prompt_of_nothing_is_refused_with_an_example(catalogue: Catalogue) -> None:
    recipe = catalogue.recipes["plain"]
    said = refused(catalogue, prompt=" \n")
    assert said.code == "empty_prompt"
    assert recipe.style.example_prompt in said.next_step
    bare = replace(recipe, style=msgspec.structs.replace(recipe.style, example_prompt=""))
    assert EXAMPLE in refused(replace(catalogue, recipes={"plain": bare}), prompt=" ").next_step


def test_the_words_of_style_and_request_are_put_together(catalogue: Catalogue) -> None:
    recipe = replace(catalogue.recipes["plain"], template="a film of {prompt}, soft light", negative_prompt=" grain ")
    styled = replace(catalogue, recipes={"plain": recipe})
    order, _ = resolve(request(prompt=" a cat ", negative_prompt=" text "), styled, fake=True)
    assert (order.prompt, order.negative_prompt) == ("a film of a cat, soft light", "grain, text")
    order, _ = resolve(request(), styled, fake=True)
    assert order.negative_prompt == "grain"


def test_a_frame_may_have_so_many_pixels_and_no_more(catalogue: Catalogue) -> None:
    recipe = catalogue.recipes["plain"]
    style = msgspec.structs.replace(recipe.style, max_size=8192, size_step=8)
    large = replace(catalogue, recipes={"plain": replace(recipe, style=style)})
    width, height = 5000, MOST_PIXELS // 5000
    order, _ = resolve(request(width=width, height=height), large, fake=True)
    assert order.width * order.height == MOST_PIXELS
    said = refused(large, width=width, height=height + 8)
    assert (said.code, f"more than the {MOST_PIXELS}" in said.sentence) == ("bad_request", True)


def test_a_clip_may_take_so_many_network_calls_and_no_more(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = 3
    calls = total_calls(catalogue.recipes["plain"].plan) * frames
    monkeypatch.setattr(requests_module, "MOST_CALLS", calls)
    assert resolve(request(frames=frames), catalogue, fake=True)[0].frames == frames
    assert "too much for so many frames" in refused(catalogue, frames=frames + 1).sentence


@pytest.mark.parametrize("settings", [{"steps": 10**30}, {"refine": (10**30,)}])
def test_a_number_that_no_message_takes_is_refused(catalogue: Catalogue, settings: dict[str, object]) -> None:
    assert refused(catalogue, settings=settings).code == "bad_request"


def test_an_order_that_no_message_to_a_worker_takes_is_refused(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, _ = resolve(request(), catalogue, fake=True)
    size = len(msgspec.json.encode((order, {})))
    monkeypatch.setattr(requests_module, "ORDER_BYTES", size)
    assert resolve(request(), catalogue, fake=True)[0] == order
    assert "too many for one clip" in refused(catalogue, prompt="a cats").sentence


@pytest.mark.parametrize(
    ("found", "code"), [("missing", "model_missing"), ("broken", "model_broken"), ("unfit", "model_unfit")]
)
def test_models_that_cannot_be_used_are_said_before_a_clip_is_accepted(
    found: str, code: str, catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Misfit("t2i", tmp_path / "model", found, "it is a lamp", "Name a model.")  # type: ignore[arg-type]
    monkeypatch.setattr(requests_module, "misfits", lambda sources: (wrong,))
    said = refused(catalogue, fake=False)
    assert said.code == code
    if found == "missing":
        assert str(tmp_path / "model") in said.sentence
    else:
        assert "it is a lamp" in said.sentence
        assert said.next_step == "Name a model."
    assert resolve(request(), catalogue, fake=True), "test pictures need none"
    monkeypatch.setattr(requests_module, "can_open", lambda: False)
    assert resolve(request(), catalogue, fake=False), "nothing could be looked at"


def test_a_model_that_is_not_there_is_said_unless_none_is_needed(catalogue: Catalogue, tmp_path: Path) -> None:
    recipe = catalogue.recipes["plain"]
    gone = replace(recipe, sources=msgspec.structs.replace(recipe.sources, t2i=str(tmp_path / "gone")))
    without = replace(catalogue, recipes={"plain": gone})
    said = refused(without, fake=False)
    assert (said.code, str(tmp_path / "gone") in said.sentence) == ("model_missing", True)
    assert resolve(request(), without, fake=True)


def test_words_are_all_known_where_the_list_of_them_cannot_be_read(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    _, warnings = resolve(request(prompt="a (zyzzyva:1.2)"), catalogue, fake=False)
    assert len(warnings) == 1
    assert "“zyzzyva”" in warnings[0]
    assert "1.2" not in warnings[0]
    requests_module._known.cache_clear()
    monkeypatch.setattr(requests_module, "known_words", unreadable)
    _, warnings = resolve(request(prompt="a (zyzzyva:1.2)"), catalogue, fake=False)
    requests_module._known.cache_clear()
    assert warnings == ()
