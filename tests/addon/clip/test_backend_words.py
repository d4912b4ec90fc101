"""What is said about the backend."""

from __future__ import annotations

import pytest

from blender_addon.clip import backend_words
from blender_addon.clip.link import Link
from shared_protocol.messages import Status, WorkerView


@pytest.mark.parametrize(
    ("mine", "others", "said"),
    [
        (0, 0, ""),
        (1, 0, "1 job of yours waits for the next start."),
        (2, 0, "2 jobs of yours wait for the next start."),
        (0, 1, "1 job of others waits for the next start."),
        (0, 2, "2 jobs of others wait for the next start."),
        (1, 1, "1 job of yours and 1 job of others wait for the next start."),
    ],
)
def test_whose_jobs_wait(mine: int, others: int, said: str) -> None:
    assert backend_words.who_waits(mine, others) == said


def test_devices_say_what_they_do() -> None:
    workers = (
        WorkerView(device="cuda:0", state="working", pid=7, job="a" * 32),
        WorkerView(device="cuda:1", state="resting", pid=8),
        WorkerView(device="cpu"),
    )
    assert list(backend_words.devices(Status(loads=1, clients=1, workers=workers))) == [
        "cuda:0: makes a clip.",
        "cuda:1: rests, models in memory.",
        "cpu: takes no memory.",
        "Models were read from disk once.",
    ]


@pytest.mark.parametrize(("loads", "said"), [(0, "never"), (1, "once"), (2, "2 times")])
def test_how_often_models_were_read_is_counted(loads: int, said: str) -> None:
    assert list(backend_words.devices(Status(loads=loads, clients=1))) == [f"Models were read from disk {said}."]


def test_state_is_a_sentence() -> None:
    assert backend_words.state(Link.READY, "cpu") == "The backend is ready. It works on cpu."
    assert backend_words.state(Link.READY, "none") == "The backend is ready."
    assert backend_words.state(Link.GREETING, "") == "The backend is starting."
    assert backend_words.state(Link.NONE, "cpu").startswith("No backend is connected.")
