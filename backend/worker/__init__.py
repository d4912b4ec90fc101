"""The process that samples: a child of the server, which starts it and outlives it."""
