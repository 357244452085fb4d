"""A trained model as ONNX graphs, with an example that decodes with them."""
