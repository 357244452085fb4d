"""The fairseq task: dictionaries, datasets, search, metrics in the training loop."""
