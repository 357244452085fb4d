"""Layers shared by encoders and decoders."""
