"""Ask a trained model about one input: what it attends to, and why its output is what it is."""
