"""Losses registered with fairseq: ``--criterion s2s_cross_entropy`` and ``s2s_minimum_risk``."""
