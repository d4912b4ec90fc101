"""The sampling chain on tensors: schedules, noise, filters, attention and the steps between them. No files."""
