"""The backend from Python: what the command line uses, and scripts may.

from backend.client import connect

with connect(start=True) as backend:
    job = backend.submit("a red fox", style="plain")
"""

from .api import Backend, BackendError, Job, Wish, connect

__all__ = ["Backend", "BackendError", "Job", "Wish", "connect"]
