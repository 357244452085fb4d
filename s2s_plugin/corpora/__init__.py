"""Corpora: recipes and their downloads, the user's own files, splits that do not leak."""
