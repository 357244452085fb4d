"""Losses, registered with fairseq: ``--criterion s2s_cross_entropy``."""
