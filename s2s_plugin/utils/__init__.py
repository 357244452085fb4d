"""Shared utilities: atomic files, the run folder, digests, the console, progress, workers, interrupts."""
