"""CPU-bound post-processing in worker processes: predictions in, the client's format out."""
