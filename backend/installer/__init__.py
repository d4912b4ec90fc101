"""What install.py does: environments, system packages, the demo.

Runs before anything is installed and on Python 3.10, so it needs nothing but the standard library and the two modules
`places` and `processes` of shared_protocol, which need no more.
"""
