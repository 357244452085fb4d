"""Nearest neighbors of decoder states among those of a corpus (Khandelwal et al. 2021, kNN-MT)."""
