"""The stages of ``s2s run`` and the Hydra schema: prepare, train, generate, score, report."""
