"""The maker without models goes through the phases of the real one."""

from __future__ import annotations

from itertools import pairwise

import pytest

from backend.worker.fake import FakeMaker
from backend.worker.maker import Advance, Picture
from tests.backend.clip_orders import made, order


def test_steps_go_up_to_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVATOR_FAKE_STEP_SECONDS", "0")
    items = made(FakeMaker().make(order(frames=3))).items
    _, *work = [item for item in items if isinstance(item, Advance)]
    assert {one.steps for one in work} == {work[-1].step}
    assert all(after.step == before.step + 1 for before, after in pairwise(work))
    assert [item.index for item in items if isinstance(item, Picture)] == [0, 1, 2]
