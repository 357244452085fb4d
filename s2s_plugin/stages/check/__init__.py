"""``s2s check DATA``: look for mistakes in a corpus before training on it."""
