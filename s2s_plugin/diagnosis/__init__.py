"""Where a trained model is weak: the challenges of Koehn and Knowles (2017, https://aclanthology.org/W17-3204)."""
