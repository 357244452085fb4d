"""Text to tokens and back: normalization, subwords, factors, escapes, retrieval."""
