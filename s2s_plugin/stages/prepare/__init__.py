"""Prepare a corpus: text or media to subwords and fairseq's binary format."""
