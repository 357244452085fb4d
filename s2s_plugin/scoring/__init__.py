"""Metrics, registered as fairseq scorers: ``fairseq-generate --scoring s2s_bleu``."""
