"""A trained model in use: text, media files and conversations in, hypotheses out."""
