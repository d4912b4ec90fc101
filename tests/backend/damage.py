"""Harm to databases that SQLite finds when it looks through all of them, and not before."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

LEAF = 13
"""With this byte a page begins that has rows."""


def spoil_a_page(path: Path) -> None:
    """Overwrite a page in the midst of a database's jobs: rows of those that ended long ago, where they are many."""
    with closing(sqlite3.connect(path)) as base:
        (size,) = base.execute("PRAGMA page_size").fetchone()
        (root,) = base.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").fetchone()
    data = bytearray(path.read_bytes())
    pages = [number for number in range(root, len(data) // size) if data[number * size] == LEAF]
    at = pages[len(pages) // 2] * size
    data[at : at + size] = os.urandom(size)
    path.write_bytes(data)
