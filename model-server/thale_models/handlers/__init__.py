"""TorchServe handlers: plain classes that import nothing of TorchServe."""
