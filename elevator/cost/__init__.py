"""What a clip takes, before anything is loaded: memory, network calls, arithmetic."""
