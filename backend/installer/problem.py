"""What ends install.py before its work is done."""

from __future__ import annotations


class Problem(Exception):
    """Something that the person at the terminal can mend. The message says what happened and what to do."""


class Interrupted(Exception):
    """Ctrl-C, or the system asks the process to end."""
