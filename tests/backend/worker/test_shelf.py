"""Models that stay between jobs: what is read again, what goes first, and that none changes another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.worker import shelf as shelf_module
from backend.worker.maker import Advance
from backend.worker.sampling import SamplingMaker
from backend.worker.shelf import Shelf
from elevator import Plan
from elevator.sources import Sources
from elevator.steps import result
from tests.backend.clip_orders import WEIGHTS, lora, made, order
from tests.true_shapes.random_weights import write

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
ZEROSCOPE, ANIMATEDIFF = str(WEIGHTS / "zeroscope"), str(WEIGHTS / "animatediff")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (WEIGHTS / "t2i").is_dir(), reason="the embedded models are not there"),
]
torch.set_num_threads(1)
OWN = {"zeroscope": 2, "animatediff": 1}
"""Networks that belong to a T2V alone: a UNet and a text encoder; motion modules."""


def golden(t2v: str, **others: Any) -> Sources:
    return Sources(t2i=str(GOLDEN / "t2i"), t2v=str(GOLDEN / t2v), **others)


def shelf(budget: int = 0) -> Shelf:
    return Shelf("cpu", torch.float32, budget)


def reads(shelf: Shelf, sources: Sources, **options: bool) -> int:
    """How many networks taking these models reads."""
    before = shelf.loads
    result(shelf.take(sources, **options))
    return shelf.loads - before


def test_what_a_job_may_change_reads_nothing() -> None:
    maker = SamplingMaker("cpu")
    clips = [made(maker.make(order())).clip]
    loads = maker.loads
    assert loads == 5
    changes: list[dict[str, Any]] = [
        {"loras": lora(1.0)},
        {"loras": lora(0.5)},
        {"prompt": "a dog"},
        {"negative_prompt": "a dog"},
        {"plan": Plan(steps=2, refine=())},
        {"seed": 2},
    ]
    for change in changes:
        again = made(maker.make(order(**change)))
        assert again.loading == [], change
        clips.append(again.clip)
    assert len({clip.tobytes() for clip in clips}) == len(clips), "each change shows"
    assert np.array_equal(made(maker.make(order())).clip, clips[0])
    assert maker.loads == loads


def test_another_t2v_reads_itself_alone_and_going_back_reads_nothing() -> None:
    kept = shelf()
    assert reads(kept, golden("zeroscope")) == 3 + OWN["zeroscope"]
    assert reads(kept, golden("animatediff")) == OWN["animatediff"]
    assert reads(kept, golden("zeroscope")) == 0
    assert reads(kept, golden("animatediff")) == 0
    assert reads(kept, golden("zeroscope", prediction_type="v_prediction")) == 0
    assert reads(kept, golden("animatediff", t2v_schedule="lightning")) == 0
    assert reads(kept, golden("animatediff", t2v_text=str(GOLDEN / "zeroscope"))) == 0, "the text encoder is there"


def test_another_vae_or_t2i_reads_itself_alone(tmp_path: Path) -> None:
    kept = shelf()
    result(kept.take(golden("zeroscope")))
    vae = shutil.copytree(GOLDEN / "t2i" / "vae", tmp_path / "vae")
    assert reads(kept, golden("zeroscope", vae=str(vae))) == 1
    t2i = shutil.copytree(GOLDEN / "t2i", tmp_path / "t2i")
    assert reads(kept, Sources(t2i=str(t2i), t2v=str(GOLDEN / "zeroscope"))) == 3


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    t2i = shutil.copytree(GOLDEN / "t2i", tmp_path / "t2i")
    sources, kept = Sources(t2i=str(t2i), t2v=str(GOLDEN / "zeroscope")), shelf()
    first = result(kept.take(sources))
    path = t2i / "vae" / "diffusion_pytorch_model.safetensors"
    save_file({name: 0.5 * tensor for name, tensor in load_file(path).items()}, tmp_path / "new")
    os.replace(tmp_path / "new", path)
    assert reads(kept, sources) == 1
    second = result(kept.take(sources))
    assert second.t2i.unet is first.t2i.unet
    assert torch.equal(2 * second.vae.decoder.conv_in.weight, first.vae.decoder.conv_in.weight)


def test_settings_that_appear_beside_a_file_count_without_reading_it_again(tmp_path: Path) -> None:
    """The `.yaml` beside a checkpoint says what it predicts, and `scheduler/` beside a motion module its levels."""
    for folder in ("t2i", "t2v"):
        (tmp_path / folder).mkdir()
    sources = Sources.of(
        write("sd1", tmp_path / "t2i" / "sd1.safetensors", "tiny"),
        write("motion_v2", tmp_path / "t2v" / "mm.ckpt", "tiny"),
    )
    kept = shelf()
    first = result(kept.take(sources))
    assert (first.t2i_schedule.prediction_type, first.t2v_schedule.spacing) == ("epsilon", "leading")
    (tmp_path / "t2i" / "sd1.yaml").write_text('model:\n  params:\n    parameterization: "v"\n', encoding="utf-8")
    scheduler = tmp_path / "t2v" / "scheduler" / "scheduler_config.json"
    scheduler.parent.mkdir()
    scheduler.write_text('{"timestep_spacing": "trailing"}', encoding="utf-8")
    before = kept.loads
    second = result(kept.take(sources))
    assert (second.t2i_schedule.prediction_type, second.t2v_schedule.spacing) == ("v_prediction", "trailing")
    assert kept.loads == before
    assert second.t2i.unet is first.t2i.unet


def test_sets_that_share_a_t2i_make_the_clips_that_they_make_alone() -> None:
    together = SamplingMaker("cpu")
    shared: dict[Any, Any] = {}
    for name in (ZEROSCOPE, ANIMATEDIFF, ZEROSCOPE, ANIMATEDIFF):
        fields = {"t2v": name, "loras": lora(1.0), "loras_on_t2v": name == ANIMATEDIFF}
        for key, change in (("plain", {"t2v": name}), ("sketch", fields)):
            clip = made(together.make(order(**change))).clip
            assert np.array_equal(shared.setdefault((name, key), clip), clip), "the second round is as the first"
    assert together.loads == 6
    for name in (ZEROSCOPE, ANIMATEDIFF):
        alone = SamplingMaker("cpu")
        assert np.array_equal(made(alone.make(order(t2v=name))).clip, shared[name, "plain"])


def test_shared_parts_count_once() -> None:
    both, one, other = shelf(), shelf(), shelf()
    for name, alone in (("zeroscope", one), ("animatediff", other)):
        result(both.take(golden(name)))
        result(alone.take(golden(name)))
    t2i = sum(
        parameter.nbytes
        for part in ("t2i.unet", "vae", "t2i_text.encoder")
        for network in [_part(result(one.take(golden("zeroscope"))), part)]
        for parameter in (*network.parameters(), *network.buffers())
    )
    assert both.bytes == one.bytes + other.bytes - t2i


def _part(models: object, path: str) -> torch.nn.Module:
    for name in path.split("."):
        models = getattr(models, name)
    return models  # type: ignore[return-value]


def copies(folder: Path, count: int) -> list[Sources]:
    """Sets that share nothing."""
    found = []
    for k in range(count):
        for name in ("t2i", "zeroscope"):
            shutil.copytree(GOLDEN / name, folder / str(k) / name)
        found.append(Sources(t2i=str(folder / str(k) / "t2i"), t2v=str(folder / str(k) / "zeroscope")))
    return found


def test_the_set_that_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    a, b, c = copies(tmp_path, 3)
    probe = shelf()
    result(probe.take(a))
    kept = shelf(budget=int(probe.bytes * 2.2))
    assert [reads(kept, each) for each in (a, b, a, c)] == [5, 5, 0, 5]
    assert kept.bytes == 2 * probe.bytes
    assert reads(kept, a) == 0, "it was used after b"
    assert reads(kept, b) == 5


def test_room_is_made_before_anything_is_read(tmp_path: Path) -> None:
    a, b = copies(tmp_path, 2)
    probe = shelf()
    result(probe.take(a))
    kept = shelf(budget=int(probe.bytes * 1.5))
    result(kept.take(a))
    steps = kept.take(b)
    next(steps)
    assert kept.bytes == 0
    steps.close()
    assert reads(kept, b) == 5


def test_models_that_take_more_than_their_headers_say_make_room_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = golden("zeroscope"), golden("animatediff")
    first = shelf()
    result(first.take(sources[0]))
    monkeypatch.setattr(shelf_module, "_parameters", lambda path: 0)
    kept = shelf(first.bytes)
    for each in sources:
        result(kept.take(each))
    assert kept.bytes < first.bytes + 1
    assert reads(kept, sources[1]) == 0
    assert reads(kept, sources[0]) == OWN["zeroscope"]


def test_a_set_over_the_budget_is_used_and_stays_until_another_comes() -> None:
    kept = shelf(budget=1)
    assert [reads(kept, golden(name)) for name in ("zeroscope", "zeroscope", "animatediff")] == [5, 0, 1]
    assert reads(kept, golden("zeroscope")) == 2, "what both have was kept, the rest went"


def test_alone_drops_the_others_and_keeps_what_is_shared(tmp_path: Path) -> None:
    kept = shelf()
    (other,) = copies(tmp_path, 1)
    for sources in (other, golden("zeroscope")):
        result(kept.take(sources))
    assert reads(kept, golden("animatediff"), alone=True) == OWN["animatediff"]
    assert reads(kept, other) == 5


def test_offloaded_networks_are_not_shared_with_others() -> None:
    kept = shelf()
    plain = result(kept.take(golden("zeroscope")))
    assert reads(kept, golden("zeroscope"), offload=True) == 5
    waiting = result(kept.take(golden("zeroscope"), offload=True))
    assert waiting.t2i.unet is not plain.t2i.unet
    assert reads(kept, golden("animatediff"), offload=True) == 4, "each has its own account of the device"
    assert reads(kept, golden("zeroscope")) == 5


def test_stopping_while_loading_keeps_what_was_there() -> None:
    maker = SamplingMaker("cpu")
    made(maker.make(order(t2v=ANIMATEDIFF)))
    loads = maker.loads
    items = maker.make(order(t2v=ZEROSCOPE))
    item = next(items)
    assert isinstance(item, Advance)
    assert item.phase == "loading"
    assert 0 == item.bytes_done < item.bytes_total
    items.close()
    assert maker.loads == loads
    again = made(maker.make(order(t2v=ANIMATEDIFF)))
    assert again.loading == []
    loading = made(maker.make(order(t2v=ZEROSCOPE))).loading
    assert loading[-1].bytes_done == loading[-1].bytes_total
    assert maker.loads == loads + OWN["zeroscope"]
