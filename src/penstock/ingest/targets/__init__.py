"""Where rows go: an appended table, a merged table, a change log."""
