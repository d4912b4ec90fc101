"""The maker without models goes through the phases of the real one."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend.failures import Failure
from backend.worker.fake import PREVIEW_PX, STEPS, FakeMaker
from backend.worker.maker import Advance, Item, Picture
from elevator.pictures.clip_folder import RECORD, SHEET
from elevator.pictures.conform import conform
from tests.backend.clip_orders import made, order


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVATOR_FAKE_STEP_SECONDS", "0")


def test_steps_go_up_to_their_number() -> None:
    items = made(FakeMaker().make(order(frames=3))).items
    _, *work = [item for item in items if isinstance(item, Advance)]
    assert {one.steps for one in work} == {work[-1].step}
    assert all(after.step == before.step + 1 for before, after in pairwise(work))
    assert [item.index for item in items if isinstance(item, Picture)] == [0, 1, 2]


def test_it_goes_through_all_phases_and_reads_its_models_once() -> None:
    maker = FakeMaker()
    assert (maker.device, maker.memory, maker.loads) == ("none", 0, 0)
    phases = [item.phase for item in maker.make(order(frames=1)) if isinstance(item, Advance)]
    assert phases[:2] == ["loading", "text"]
    assert set(phases[2:-1]) == {"painting", "refining", "inverting"}
    assert phases[-1] == "decoding"
    assert all(after == "inverting" for before, after in pairwise(phases[:-1]) if before == "refining")
    assert maker.loads == 1
    assert [item.phase for item in maker.make(order(frames=1)) if isinstance(item, Advance)] == phases[1:]


def test_a_clip_is_a_disc_that_moves_over_its_ground() -> None:
    wide = made(FakeMaker().make(order(frames=3, width=96, height=64)))
    assert wide.clip.shape == (3, 64, 96, 3)
    assert len({frame.tobytes() for frame in wide.clip}) == 3
    tall = made(FakeMaker().make(order(frames=3, width=64, height=96, seed=3))).clip.astype(int)
    assert np.median(tall[:, 0]) > np.median(tall[:, -1]), "it is darker below"
    assert set(wide.extras) == {RECORD, SHEET}
    assert json.loads(wide.extras[RECORD])["made_with"] == "test pictures"
    assert cv2.imdecode(np.frombuffer(wide.extras[SHEET], np.uint8), cv2.IMREAD_COLOR) is not None


@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(3, 16),
    sides=st.sampled_from([(64, 64), (64, 32), (96, 64), (128, 224)]),
)
@example(seed=1_000_442, frames=3, sides=(64, 64))
def test_whatever_the_seed_the_disc_is_seen_and_moves(seed: int, frames: int, sides: tuple[int, int]) -> None:
    width, height = sides
    clip = made(FakeMaker().make(order(frames=frames, width=width, height=height, seed=seed))).clip
    assert len({frame.tobytes() for frame in clip}) == frames
    change = abs(clip[0].astype(int) - clip[-1])
    assert (change.max(axis=2) > 20).mean() > 0.03, "the first and the last frame differ"


@pytest.mark.parametrize("seed", range(12))
def test_its_motion_can_be_followed(seed: int) -> None:
    clip = made(FakeMaker().make(order(frames=3, width=64, height=64, seed=seed))).clip
    smooth = list(conform(list(clip), Fraction(8), Fraction(24), "flow"))
    assert len({frame.tobytes() for frame in smooth}) == 7, "two pictures in each gap are new"


def test_grain_is_noise_of_that_strength() -> None:
    plain, grainy = (made(FakeMaker().make(order(frames=1, seed=3, prompt=f"grain:{level}"))) for level in (0, 9))
    assert abs(np.diff(plain.clip.astype(int), axis=2)).mean() < 2
    noise = np.diff(grainy.clip.astype(float), axis=2) / np.sqrt(2)
    assert 7 < np.median(np.abs(noise)) / 0.6745 < 11


def test_previews_are_small_and_come_nearer_to_the_clip() -> None:
    shown = []
    for item in FakeMaker().make(order(frames=2, width=128, height=64)):
        if isinstance(item, Advance) and (preview := item.preview()) is not None:
            assert preview.shape == (2, PREVIEW_PX // 2, PREVIEW_PX, 3)
            shown.append(preview.astype(int))
    assert len(shown) == STEPS - 1 + 2
    far = [abs(preview - shown[-1]).mean() for preview in shown]
    assert far == sorted(far, reverse=True)
    assert abs(shown[0] - 128).mean() < abs(shown[-1] - 128).mean() / 5, "it is grey at first"
    tiny = [item for item in FakeMaker().make(order(frames=1, width=8, height=16)) if isinstance(item, Advance)]
    preview = tiny[-1].preview()
    assert preview is not None
    assert preview.shape == (1, 16, 8, 3), "never larger than the clip"


@pytest.mark.parametrize(
    ("prompt", "cautious", "fails"),
    [
        ("fail:model_broken", False, True),
        ("fail:model_broken", True, True),
        ("a fail:model_broken-once", False, True),
        ("a fail:model_broken-once", True, False),
        ("a fail:never-heard-of cat", False, False),
    ],
)
def test_it_fails_half_way_as_its_prompt_asks(prompt: str, cautious: bool, fails: bool) -> None:
    making = FakeMaker().make(order(frames=1, prompt=prompt), cautious=cautious)
    items: list[Item] = []
    if fails:
        with pytest.raises(Failure) as failed:
            items.extend(making)
        assert failed.value.code == "model_broken"
        assert isinstance(items[-1], Advance)
        assert items[-1].step == STEPS // 2 - 1
    else:
        assert any(isinstance(item, Picture) for item in making)
