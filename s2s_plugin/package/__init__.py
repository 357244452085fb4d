"""A trained model as one file, ``.s2s``: a zip of weights, text side or frontend, config, card and examples."""
