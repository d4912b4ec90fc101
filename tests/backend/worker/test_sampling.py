"""The real maker in a real worker, with the embedded models and a chain of few steps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file

from backend.root import ROOT
from backend.worker.init_pictures import read_init_pictures
from backend.worker.maker import Advance
from elevator.pictures.encoding import encoded
from shared_protocol.client import Lost
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Chunk,
    Done,
    Failed,
    Frame,
    Have,
    LoraChoice,
    Offer,
    Progress,
)
from tests.backend import orders
from tests.backend.harness import Conversation, Running, greet, running, until
from tests.true_shapes.random_weights import write, write_embedding

WEIGHTS = ROOT / "elevator" / "embedded" / "weights"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (WEIGHTS / "t2i").is_dir(), reason="the embedded models are not there"),
    pytest.mark.timeout(300),
]
QUICK = 'base = "embedded"\npreset = "published"\nexample_prompt = "a cat"\n'
PLAN = "[plan]\nsteps = 4\nrefine = [3]\nrefine_steps = 1\n"
LONG = "[plan]\nsteps = 500\nrefine = []\n"


def write_styles(folder: Path) -> None:
    """Styles of few steps, with LoRAs that do not depend on how far the embedded ones are trained."""
    folder.mkdir(parents=True)
    lora = WEIGHTS / "loras" / "sketch" / "pytorch_lora_weights.safetensors"
    chance = np.random.default_rng(0)
    loud = {name: chance.normal(0, 0.05, values.shape).astype(np.float16) for name, values in load_file(lora).items()}
    save_file(loud, folder / "loud.safetensors")
    (folder.parent / "loras").mkdir()
    save_file(loud, folder.parent / "loras" / "named.safetensors")
    (folder / "torn.safetensors").write_bytes(b"torn")
    for name, rest in {
        "quick": PLAN,
        "loud": '[[loras]]\npath = "loud.safetensors"\n' + PLAN,
        "torn": '[[loras]]\npath = "torn.safetensors"\n' + PLAN,
        "long": LONG,
    }.items():
        (folder / f"{name}.toml").write_text(f'title = "{name}"\n{QUICK}{rest}', encoding="utf-8")


def write_own_base(config: Path) -> None:
    """A base and styles as a user writes them, around files in the layouts of real ones, one head wide."""
    models = config / "models"
    for folder in (models, config / "bases"):
        folder.mkdir()
    write("sd1", models / "dreamshaper.safetensors", "tiny")
    write("motion_v2", models / "mm_sd_v15_v2.ckpt", "tiny")
    write("lora_kohya", models / "ink.safetensors", "tiny")
    write_embedding(models / "cat.pt", "a1111_pt", "tabby", width=64)
    base = (
        'title = "Own"\nt2i = "../models/dreamshaper.safetensors"\nt2v = "../models/mm_sd_v15_v2.ckpt"\n'
        'loras = "../models"\nwidth = 64\nheight = 64\nmin_size = 64\n'
        "[presets.published]\nsteps = 1\nrefine = [1]\nrefine_steps = 1\n"
    )
    (config / "bases" / "own.toml").write_text(base, encoding="utf-8")
    inked = 'loras = [{ name = "ink.safetensors" }]\nloras_on_t2v = true\nembeddings = ["../models/cat.pt"]\n'
    for name, rest in {"own": "", "inked": inked}.items():
        text = f'title = "{name}"\n{QUICK.replace("embedded", "own")}{rest}'
        (config / "styles" / f"{name}.toml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests, for reading torch takes its time."""
    folder = tmp_path_factory.mktemp("home")
    write_styles(folder / "config" / "styles")
    write_own_base(folder / "config")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELEVATOR_HOME", str(folder))
        with running("--stay", fake=False) as backend:
            yield backend


def clip(client: Conversation, **fields: Any) -> np.ndarray:
    job = client.submit(**{"style": "quick", "frames": 4, **fields})
    done = client.end_of(job)
    assert isinstance(done, Done), done
    frames = [buffers[0] for message, buffers in client.of(job) if isinstance(message, Frame)]
    return np.stack([np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)) for png in frames])


def test_jobs_of_one_base_read_its_models_once_whatever_their_style(backend: Running) -> None:
    with backend.client() as client:
        assert greet(client).device in ("cpu", "cuda")
        plain = clip(client)
        loads = client.until_settled().loads
        loud = clip(client, style="loud")
        again = clip(client)
        assert client.until_settled().loads == loads > 0
    assert plain.shape == (4, 64, 64, 3)
    assert np.array_equal(plain, again), "the same seed gives the same clip, and the LoRA is gone again"
    assert not np.array_equal(plain, loud)


def test_a_lora_that_a_request_names_is_that_of_a_style(backend: Running) -> None:
    named = LoraChoice(name="named.safetensors")
    with backend.client() as client:
        plain = clip(client)
        loud = clip(client, loras=(named,))
        assert np.array_equal(loud, clip(client, style="loud"))
        assert not np.array_equal(loud, plain)
        assert np.array_equal(plain, clip(client, loras=(msgspec.structs.replace(named, weight=0.0),)))
        sketch = clip(client, loras=(LoraChoice(name="sketch"),))
        assert not np.array_equal(sketch, plain), "one of the base's own"


def upload(client: Conversation, picture: np.ndarray) -> str:
    """Send a picture to the backend. Its hash."""
    png = cv2.imencode(".png", picture)[1].tobytes()
    sha256 = hashlib.sha256(png).hexdigest()
    client.client.send(Offer(sha256=sha256, size=len(png)))
    there = client.expect(Have).offset
    if there < len(png):
        client.client.send(Chunk(sha256=sha256, offset=there), [png[there:]])
        assert client.expect(Have).offset == len(png)
    return sha256


def plain_picture(blue: int, green: int, red: int) -> np.ndarray:
    return np.full((64, 64, 3), (blue, green, red), np.uint8)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of the colours of two pictures, 0 … 255."""
    return float(np.abs(one.mean((0, 1)) - other.mean((0, 1))).mean())


def test_uploaded_footage_and_anchor_are_seen_in_the_clip(backend: Running) -> None:
    dark, light = plain_picture(20, 20, 40), plain_picture(230, 220, 210)
    shots = [dark, light, light, dark]
    with backend.client() as client:
        footage = tuple(upload(client, shot) for shot in shots)
        kept = clip(client, footage=footage, strength=0.0)
        for frame, shot in zip(kept, shots, strict=True):
            assert distance(frame, shot) < 25, "nothing is made anew"
        free = clip(client, footage=footage, strength=1.0)
        assert np.array_equal(free, clip(client)), "nothing of it is kept"
        anchored = clip(client, footage=footage, strength=0.0, anchor=upload(client, light))
        assert distance(anchored[0], light) < 25
        assert distance(anchored[3], dark) < 25


def test_phases_previews_and_warnings_of_a_real_job(backend: Running) -> None:
    with backend.client() as client:
        job = client.submit("a pumpkin and a xylophonist", style="quick", previews=True)
        assert isinstance(client.end_of(job), Done)
        (accepted,) = [message for message, _ in client.of(job) if isinstance(message, Accepted)]
        assert "xylophonist" in accepted.warnings[0]
        progress = [message for message, _ in client.of(job) if isinstance(message, Progress)]
        phases = {one.phase for one in progress}
        assert phases - {"loading"} == {"text", "painting", "refining", "inverting", "decoding", "writing"}
        assert {one.preview_frames for one in progress} == {0, 4}


def test_cancel_ends_a_real_job_and_keeps_its_models(backend: Running) -> None:
    with backend.client() as client:
        job = client.submit(style="long")
        at = client.expect(Progress, lambda message: message.phase == "painting").step
        client.client.send(Cancel(job=job))
        assert client.end_of(job) == Cancelled(job=job)
        steps = [message.step for message, _ in client.of(job) if isinstance(message, Progress)]
        assert steps[-1] - at < 100
        loads = client.until_settled().loads
        clip(client)
        assert client.until_settled().loads == loads


def test_a_lora_that_is_broken_fails_its_job_only(backend: Running) -> None:
    with backend.client() as client:
        failed = client.end_of(client.submit(style="torn"))
        assert isinstance(failed, Failed)
        assert failed.code == "model_broken"
        assert "torn.safetensors" in failed.message
        clip(client)


def test_a_users_own_files_make_clips_and_are_read_once(backend: Running) -> None:
    with backend.client() as client:
        plain = clip(client, style="own")
        loads = client.until_settled().loads
        job = client.submit("a (tabby:1.2) cat BREAK", style="inked", frames=2)
        assert isinstance(client.end_of(job), Done)
        (accepted,) = [message for message, _ in client.of(job) if isinstance(message, Accepted)]
        assert accepted.warnings == ("BREAK is left out; a long prompt is divided at its commas.",)
        inked = clip(client, style="inked")
        assert np.array_equal(clip(client, style="own"), plain)
        assert client.until_settled().loads == loads
    assert plain.shape == (4, 64, 64, 3)
    assert not np.array_equal(plain, inked)


def test_a_worker_deep_in_torch_ends_with_its_killed_server(home: Path) -> None:
    write_styles(home / "config" / "styles")
    with running(fake=False) as backend, backend.client() as client:
        client.submit(style="long", frames=16, width=128, height=128)
        client.expect(Progress, lambda message: message.phase == "painting")
        (worker,) = backend.family
        backend.process.kill()
        client.expect(Lost)
        assert until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 3.0)


def test_a_cancel_is_heard_between_any_two_pictures_of_the_footage(tmp_path: Path) -> None:
    """Large ones take seconds all together: the worker looks whether to go on after each."""
    names = tuple(f"{number:064x}" for number in range(3))
    files = {name: tmp_path / f"{name}.png" for name in names}
    order = msgspec.structs.replace(orders.order(), frames=3, footage=names, width=8, height=8)
    read = read_init_pictures(order, {name: str(file) for name, file in files.items()})
    for file in files.values():
        file.write_bytes(encoded(np.zeros((8, 8, 3), np.uint8)))  # not there before it is its turn
        assert isinstance(next(read), Advance)
