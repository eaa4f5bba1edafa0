"""Model cards and predictions: the description of a model, and its output on the wire."""
