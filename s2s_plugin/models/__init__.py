"""The model: one concept, one file. ``seq2seq.py`` is where to begin reading."""
