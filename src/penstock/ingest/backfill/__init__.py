"""Rows that come beside the topic: from an archive, or from a snapshot of the source.

files ─cutting─▶ Plan (written) ─Load─▶ piece 1, piece 2, …  each one Delta commit with its number
                                   └─ under an application id of its own, beside the live batches
"""
