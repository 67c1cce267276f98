"""Public test support: fixtures that start real parts, for Penstock and for services built on it.

`plugin` is the pytest plug-in; installing ``penstock[testing]`` registers it.
"""
