"""`python -m elevator`."""

from __future__ import annotations

import os
import signal
import sys

from .cli.command_line import main

if __name__ == "__main__":
    # Ctrl-C counts even where the shell that started this hides it, and whoever is asked to end leaves in order too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # One bar is enough: transformers would show its own for every network that it reads.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    sys.exit(main())
