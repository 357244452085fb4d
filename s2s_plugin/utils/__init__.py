"""Shared utilities: atomic files, the run folder, the console, progress, interrupts."""
