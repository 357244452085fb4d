"""The model: one concept a file. Start reading at ``seq2seq.py``."""
