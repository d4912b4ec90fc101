"""The small world of the embedded models: scenes, captions, styles, and who reads clips: tracker and judge."""
