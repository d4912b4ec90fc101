"""What these tests share with those of the backend."""

from tests.backend.conftest import backend, home, shared

__all__ = ["backend", "home", "shared"]
