"""Models for thale: synthesis, training, evaluation, archives and the TorchServe handlers."""
