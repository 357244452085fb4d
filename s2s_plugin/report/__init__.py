"""The report of a run: one self-contained HTML page, and its pictures as PNG files."""

import logging

for library in ("matplotlib", "PIL"):  # fairseq's import turns on debug messages of every library
    logging.getLogger(library).setLevel(logging.WARNING)
