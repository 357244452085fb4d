"""``s2s export`` and ``s2s verify``: a run as one file, and whether the file does elsewhere what it did here."""
