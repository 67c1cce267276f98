"""Frozen values that every part shares; no I/O, no clock, no library beyond Python's own.

Modules are plural nouns, used qualified: ``topics.Topic``, ``clusters.Cluster``.
"""
