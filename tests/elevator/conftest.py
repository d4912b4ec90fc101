"""One thread, because the suite shares its machine, and fewer examples, for networks take their time."""

from __future__ import annotations

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("networks", settings.get_profile("shared machine"), max_examples=60)
settings.load_profile("networks")
