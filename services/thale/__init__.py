"""thale: traits in millimetres from plant photographs, by versioned models."""
