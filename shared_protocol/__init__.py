"""The words that Blender and the backend exchange.

This package imports nothing else of the project. The extension's zip holds a copy of it as a package of the
extension's own, so it imports itself by relative names alone, and beside them only the standard library, msgspec and
pyzmq; `machine` needs only the standard library.
PROTOCOL.md beside this file is the specification.
"""

VERSION = "0.1.0"
"""Version of the product. The extension and the backend carry the same number."""
