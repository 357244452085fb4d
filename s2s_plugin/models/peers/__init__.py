"""Models of other toolkits as ours: the same weights under our names."""
