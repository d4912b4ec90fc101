"""The rendered world: deterministic, and what captions say is what is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from elevator.embedded.small_world.captions import full_caption, known_words, random_caption, token_words, words_of
from elevator.embedded.small_world.pictures import PICTURE_PX, DrawnShapes, EmojiFont, find_font
from elevator.embedded.small_world.styles import STYLES, filter_clip, washed_out
from elevator.embedded.small_world.world import (
    BACKGROUNDS,
    FRAME_PX,
    MOTIONS,
    SUBJECTS,
    Motion,
    Scene,
    allowed_backgrounds,
    held_out_backgrounds,
    played_backwards,
    random_scene,
    render,
    render_clip,
    trained_backgrounds,
)
from elevator.embedded.training.prompts import all_prompts, read_prompts
from elevator.embedded.training.tokenizer import MAX_TOKENS, build_tokenizer

pytestmark = pytest.mark.slow

SHAPES = DrawnShapes()


class _Nothing:
    """A subject source with nothing to see: leaves the bare background."""

    def picture(self, name: str, symbol: str) -> NDArray[np.uint8]:
        return np.zeros((PICTURE_PX, PICTURE_PX, 4), np.uint8)


def _masks(scene: Scene) -> NDArray[np.float64]:
    """Where the subject is, (16, 64, 64), by difference to the bare background."""
    with_subject = render_clip(scene, SHAPES).astype(float)
    bare = render_clip(scene, _Nothing()).astype(float)
    return np.asarray(np.abs(with_subject - bare).sum(-1) > 12, dtype=float)


def _track(masks: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroids (16, 2) as (x, y) in fractions of the frame, and areas (16,) in pixels."""
    rows, columns = np.mgrid[:FRAME_PX, :FRAME_PX]
    areas = masks.sum((1, 2))
    x = (masks * columns).sum((1, 2)) / areas
    y = (masks * rows).sum((1, 2)) / areas
    return np.stack([x, y], 1) / FRAME_PX, areas


@pytest.mark.parametrize("motion", MOTIONS, ids=lambda motion: motion.name)
def test_things_move_the_way_the_caption_says(motion: Motion) -> None:
    rng = np.random.default_rng(3)
    for _ in range(12):
        scene = random_scene(rng, (motion,))
        centroids, areas = _track(_masks(scene))
        travel = centroids[-1] - centroids[0]
        growth = np.log(areas[-1] / areas[0])
        dx, dy, scale, _ = motion.effect
        assert travel[0] == pytest.approx(0.48 * dx, abs=0.05), full_caption(scene)
        assert travel[1] == pytest.approx(0.48 * dy, abs=0.05), full_caption(scene)
        assert growth == pytest.approx(2.02 * scale, abs=0.35), full_caption(scene)


def test_phases_are_fixed() -> None:
    """Two clips of one caption differ by a few pixels at most, so their mean is a blob."""
    rng = np.random.default_rng(0)
    for motion in MOTIONS:
        starts = []
        for _ in range(6):
            scene = random_scene(rng, (motion,))
            centroids, _ = _track(_masks(scene))
            starts.append(centroids[0])
        spread = np.ptp(np.array(starts), axis=0) * FRAME_PX
        assert spread.max() <= 9, motion.name


def test_renders_are_deterministic() -> None:
    scenes = [random_scene(np.random.default_rng(11)) for _ in range(2)]
    assert scenes[0] == scenes[1]
    assert np.array_equal(render(scenes[0], 0.3, SHAPES), render(scenes[1], 0.3, SHAPES))
    rngs = [np.random.default_rng(5) for _ in range(2)]
    assert random_caption(scenes[0], rngs[0]) == random_caption(scenes[1], rngs[1])


def test_no_subject_is_drawn_on_its_own_colour() -> None:
    rng = np.random.default_rng(1)
    for _ in range(400):
        scene = random_scene(rng)
        assert scene.background.name not in scene.subject.avoid


def test_training_never_shows_a_held_out_pair() -> None:
    rng = np.random.default_rng(2)
    held_out = {(s.name, b.name) for s in SUBJECTS for b in held_out_backgrounds(s)}
    shown = [random_scene(rng) for _ in range(4000)]
    assert not held_out & {(scene.subject.name, scene.background.name) for scene in shown}
    assert len(held_out) == 48
    for subject in SUBJECTS:
        parts = [*trained_backgrounds(subject), *held_out_backgrounds(subject)]
        assert sorted(b.name for b in parts) == sorted(b.name for b in allowed_backgrounds(subject))


def test_the_committed_prompts_are_those_of_this_world() -> None:
    prompts = read_prompts()
    assert prompts == all_prompts()
    assert len(prompts) >= 96
    unseen = [p for p in prompts if p.scene.background in held_out_backgrounds(p.scene.subject)]
    assert [p for p in prompts if p.held_out] == unseen
    assert len(unseen) >= len(prompts) / 3
    assert {p.motion for p in prompts} == {motion.name for motion in MOTIONS}
    assert len({p.seed for p in prompts}) == len(prompts)
    for prompt in prompts:
        assert prompt.subject in words_of(prompt.text)


def test_tables_are_as_wide_as_announced() -> None:
    assert len(SUBJECTS) == 24
    assert len({s.name for s in SUBJECTS}) == 24
    assert len(BACKGROUNDS) == 14
    assert {"pumpkin", "fish", "car", "cat", "tree", "house"} <= {s.name for s in SUBJECTS}
    assert {m.name for m in MOTIONS} >= {"left", "right", "up", "down"}


def test_captions_name_subject_motion_and_background() -> None:
    scene = Scene(SUBJECTS[0], BACKGROUNDS[4], MOTIONS[2])
    assert full_caption(scene) == "a pumpkin moving right, blue background"
    rng = np.random.default_rng(0)
    for _ in range(200):
        words = set(words_of(random_caption(scene, rng, whole=True)))
        assert {"pumpkin", "right", "blue"} <= words


def test_styles_change_frames_and_keep_their_shape() -> None:
    clip = render_clip(Scene(SUBJECTS[2], BACKGROUNDS[3], MOTIONS[1]), SHAPES, 3)
    for style in (washed_out, *STYLES.values()):
        styled = filter_clip(clip, style)
        assert styled.shape == clip.shape
        assert styled.dtype == np.uint8
        assert np.abs(styled.astype(int) - clip).mean() > 5


def test_every_world_word_is_one_token_and_any_text_tokenises(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(tmp_path)
    assert set(known_words()) <= set(token_words())
    for word in token_words():
        assert len(tokenizer(word).input_ids) == 3, word
    for text in ("", "Ünïcode zébra 42!", "日本 \U0001f383", "x" * 400):
        ids = tokenizer(text, padding="max_length", truncation=True).input_ids
        assert len(ids) == MAX_TOKENS
    again = build_tokenizer(tmp_path / "again")
    assert again.get_vocab() == tokenizer.get_vocab()


@pytest.mark.skipif(
    find_font() is None,
    reason="the colour emoji font is not installed (package fonts-noto-color-emoji)",
)
def test_the_real_font_has_a_picture_of_every_subject() -> None:
    font = find_font()
    assert font is not None
    source = EmojiFont(font)
    pictures = [source.picture(s.name, s.symbol) for s in SUBJECTS]
    for subject, picture in zip(SUBJECTS, pictures, strict=True):
        assert max(picture.shape[:2]) == PICTURE_PX, subject.name
        assert (picture[..., 3] > 128).mean() > 0.3, subject.name


@pytest.mark.parametrize("motion", MOTIONS, ids=lambda motion: motion.name)
def test_a_clip_played_backwards_shows_the_scene_that_is_named(motion: Motion) -> None:
    """T2V training relies on it: captions of turned clips must be true."""
    scene = random_scene(np.random.default_rng(3), (motion,))
    turned = render_clip(played_backwards(scene), SHAPES).astype(int)
    difference = np.abs(turned - render_clip(scene, SHAPES)[::-1])
    assert difference.max() <= 1, "rounding"
