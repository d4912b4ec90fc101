"""The process that owns socket, queue and results: `python -m backend serve`. Never imports torch."""
