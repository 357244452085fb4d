"""Check a corpus before training: leaks, duplicates, broken text, wrong languages, pairs that do not fit together."""
