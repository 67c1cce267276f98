"""The ``penstock`` command: parse, call, render.

One module a family of commands, each with ``register(app)``. No decision is made here, and nothing
heavy is imported before a command that needs it runs.
"""
