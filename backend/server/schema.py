"""The database's tables, version by version. A file of an older version is brought up to date when it is opened."""

from __future__ import annotations

import sqlite3

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE jobs (
            id TEXT PRIMARY KEY,
            place REAL NOT NULL,
            principal TEXT NOT NULL,
            client_id TEXT NOT NULL,
            work BLOB NOT NULL,
            prompt TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('queued', 'loading', 'running', 'done', 'failed', 'cancelled')),
            submitted REAL NOT NULL,
            losses INTEGER NOT NULL DEFAULT 0,
            ending BLOB,
            ended INTEGER,
            interruptions INTEGER NOT NULL DEFAULT 0,
            received INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0,
            CHECK ((ending IS NULL) = (state IN ('queued', 'loading', 'running')))
        )""",
        "CREATE TABLE clients (client_id TEXT PRIMARY KEY, principal TEXT NOT NULL)",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value)",
        "CREATE TABLE paces (kind TEXT PRIMARY KEY, seconds REAL NOT NULL)",
        "CREATE INDEX jobs_by_end ON jobs (ended)",
        "CREATE INDEX jobs_by_owner ON jobs (principal, client_id, received)",
    ),
    (
        # What is asked about all jobs is asked about few of them: none shall take longer the more have ended.
        "CREATE INDEX jobs_unfinished ON jobs (place) WHERE ending IS NULL",
        "CREATE INDEX jobs_ended ON jobs (principal, ended) WHERE ending IS NOT NULL",
        "CREATE INDEX jobs_undelivered ON jobs (principal, client_id, ended) WHERE ending IS NOT NULL AND received = 0",
        "CREATE INDEX jobs_with_result ON jobs (received, ended, bytes, id, principal) WHERE bytes > 0",
        "CREATE INDEX jobs_unneeded ON jobs (ended) WHERE bytes = 0 AND received = 1",
    ),
)
"""What takes the tables from each version to the next. Never changed once released: a change is a new step."""
SCHEMA_VERSION = len(STEPS)


class UnknownSchema(Exception):
    """The database was written by a newer release."""


def migrate(base: sqlite3.Connection) -> None:
    """Bring the tables to the present version, in one transaction. Raises UnknownSchema, and changes nothing then."""
    (version,) = base.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise UnknownSchema(f"it has version {version} and this release knows {SCHEMA_VERSION}")
    if version == SCHEMA_VERSION:
        return
    base.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS[version:]:
            for statement in step:
                base.execute(statement)
        base.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        base.execute("COMMIT")
    except sqlite3.DatabaseError:
        if base.in_transaction:
            base.execute("ROLLBACK")
        raise
