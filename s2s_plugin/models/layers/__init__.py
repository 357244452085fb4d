"""Parts that encoders and decoders share."""
