"""True renders are written as they are read: every look of every prompt, and twins with other accidents."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import load_file

from elevator.embedded import WEIGHTS
from elevator.embedded.small_world.judge import load_judge, read, sharpness
from elevator.embedded.small_world.pictures import DrawnShapes
from elevator.embedded.small_world.styles import STYLES, filter_clip
from elevator.embedded.small_world.world import FRAME_PX, render_clip
from elevator.study import renders
from elevator.study.prompts import all_prompts
from elevator.study.renders import moments, write_renders
from tests.elevator.study.conftest import there


def test_every_look_of_every_prompt_is_kept(tmp_path, monkeypatch):
    prompts, made = all_prompts()[:2], []
    monkeypatch.setattr(renders, "all_prompts", lambda: prompts)
    monkeypatch.setattr(renders, "render_clip", lambda scene, source: made.append(scene) or render_clip(scene, source))
    write_renders(DrawnShapes(), tmp_path / "renders.safetensors")
    tensors = load_file(tmp_path / "renders.safetensors")
    looks = ("crisp", "twins", *STYLES)
    assert tensors.keys() == {f"{what}/{look}" for what in ("features", "sharpness") for look in looks}
    scenes = [there(prompt.scene) for prompt in prompts]
    plain = [render_clip(scene, DrawnShapes()) for scene in scenes]
    judge = load_judge(WEIGHTS / "judge")
    for look in ("crisp", *STYLES):
        clips = [filter_clip(clip, STYLES[look]) if look in STYLES else clip for clip in plain]
        features = np.stack([read(judge, clip[moments(16)]).features for clip in clips]).astype(np.float16)
        assert np.array_equal(tensors[f"features/{look}"], features)
        assert tensors[f"sharpness/{look}"].tolist() == [np.float32(sharpness(clip)) for clip in clips]
    assert not np.array_equal(tensors["features/twins"], tensors["features/crisp"])
    twins = made[2:4]
    for twin, scene in zip(twins, scenes, strict=True):
        assert (twin.subject, twin.background, twin.motion) == (scene.subject, scene.background, scene.motion)
        assert 0 < abs(twin.shift_x) * FRAME_PX <= 2.5
        assert 0 < abs(twin.shift_y) * FRAME_PX <= 2.5
        assert 0 < abs(twin.size_factor - 1) <= 0.08
        assert 0 < abs(twin.light - 1) <= 0.04
    assert twins[0].shift_x != twins[1].shift_x
