"""The words that Blender and the backend exchange.

This package imports nothing else of the project. Blender gets it as a wheel of its own, so it needs only the
standard library, msgspec and pyzmq, and `places` and `processes` need only the standard library.
PROTOCOL.md beside this file is the specification.
"""

VERSION = "0.1.0"
"""Version of the product. The wheel, the extension and the backend carry the same number."""
