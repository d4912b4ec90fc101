"""The same fixtures as the backend's: a home of its own for every test, and backends to knock at."""

from tests.backend.conftest import backend, home, no_store_stays_open, shared

__all__ = ["backend", "home", "no_store_stays_open", "shared"]
