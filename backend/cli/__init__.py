"""The commands of `python -m backend` that are clients of the backend. docs/COMMANDS.md is their reference."""
