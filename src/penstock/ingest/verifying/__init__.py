"""Is a table what its source is? Counts and checksums by key range, while both go on changing.

    source at a mark ─rows by key range─▶ compare ◀─rows of the same keys─ table, once it has the mark

Reads only; never changes the source or the table.
"""
