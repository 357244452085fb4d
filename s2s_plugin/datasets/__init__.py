"""Datasets: pairs of a source and a target sequence."""
