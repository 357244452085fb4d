"""Search: from the model's step to the best target. What fairseq calls a (sequence) generator."""
