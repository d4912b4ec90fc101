"""What makes and shows the extension and is no part of it."""
