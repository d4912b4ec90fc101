"""One thread, because the suite shares its machine; no deadlines, because that machine may be busy."""

from __future__ import annotations

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("shared machine", deadline=None, max_examples=60)
settings.load_profile("shared machine")
