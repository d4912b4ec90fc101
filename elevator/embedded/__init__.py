"""The embedded models: a small world, tiny models of it, and the scripts that train them.

Nothing here is imported by the sampler or the backend: they see only the plain
diffusers folders under `weights/`.
"""
