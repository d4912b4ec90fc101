"""The version, which everything else reads from here: the packaging too, without importing anything."""

VERSION = "0.1.0"
