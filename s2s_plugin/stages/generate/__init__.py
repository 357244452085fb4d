"""Generate: decode the test set with fairseq-generate."""
