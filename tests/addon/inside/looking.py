"""What the panels Look and Advanced offer reaches the clip, and comes back from its strip."""

from __future__ import annotations

from typing import Any

import bpy
from harness import generate, open_project, part, press_generate, refuse, scene, tick_until


def _loras(request: Any) -> dict[str, float]:
    return {lora.name: lora.weight for lora in request.loras}


def check_loras_reach_the_clip_and_come_back() -> None:
    open_project("loras")
    generate(frames=1)  # the styles are known
    settings = scene().elevator
    settings.style_name = "neon"
    for name in ("neon", "sketch", "pixel_art"):
        assert bpy.ops.elevator.add_lora(lora=name) == {"FINISHED"}
    assert round(settings.loras["neon"].weight, 2) == 0.9, "the style's own weight is proposed"
    settings.loras["neon"].on = False
    settings.loras["sketch"].weight = 0.35
    settings.loras["pixel_art"].on = False
    job = press_generate(frames=1)
    assert _loras(job.request) == {"neon": 0.0, "sketch": 0.35}, job.request.loras
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job.problem
    settings.lora_index = 1
    assert bpy.ops.elevator.remove_lora() == {"FINISHED"}
    assert [line.name for line in settings.loras] == ["neon", "pixel_art"]
    assert bpy.ops.elevator.settings_from_strip() == {"FINISHED"}
    assert [(line.name, line.on, round(line.weight, 2)) for line in settings.loras] == [
        ("neon", False, 1.0),
        ("sketch", True, 0.35),
    ]


def check_settings_reach_the_clip_and_come_back() -> None:
    open_project("settings")
    plan = scene().elevator.plan
    plan.guidance, plan.use_guidance = 6.2, True
    plan.chunk, plan.use_chunk = 2, True
    plan.lowpass, plan.use_lowpass = "temporal", True
    plan.alpha = 3.0  # not set
    job = press_generate(frames=1)
    assert job.request.settings == {"guidance": 6.2, "chunk": 2, "lowpass": "temporal"}, job.request.settings
    tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job.problem
    plan.use_guidance, plan.use_eta = False, True
    assert bpy.ops.elevator.settings_from_strip() == {"FINISHED"}
    assert (plan.use_guidance, plan.use_chunk, plan.use_lowpass, plan.use_eta) == (True, True, True, False)


def check_scripts_name_loras_and_settings() -> None:
    open_project("scripted")
    strip = generate(frames=1, style="plain", loras='{"neon": 0.5}', settings='{"guidance": 5}')
    request = part("blender.clips").ticket_of(strip).request
    assert (_loras(request), request.settings) == ({"neon": 0.5}, {"guidance": 5})
    assert refuse(prompt="a", loras="neon").startswith("The argument loras cannot be read")
    assert refuse(prompt="a", settings="[1]").startswith("The argument settings cannot be read")
    assert "no setting 'speed'" in refuse(prompt="a", frames=1, settings='{"speed": 1}')


def check_presets_say_how_long_they_take() -> None:
    open_project("presets")
    items = part("blender.properties")._preset_items(scene().elevator, bpy.context)
    assert items[0][1] == "Style's Own, Published"
    assert [item[1] for item in items[1:]] == [
        "Published: the longest",
        "Balanced: half of the longest",
        "Fast: a sixth of the longest",
        "Draft: a ninth of the longest",
    ], items
