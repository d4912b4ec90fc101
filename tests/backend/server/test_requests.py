"""From a request to an order: what it names is found, and both ends of every range are allowed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from backend.failures import BackendError
from backend.root import ROOT
from backend.server.requests import resolve, resolve_conform
from backend.styles.catalogue import Catalogue, read_catalogue
from backend.styles.recipes import MOST_STEPS
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
