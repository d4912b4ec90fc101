"""Files, locks, folders and processes of this machine. Standard library only."""
