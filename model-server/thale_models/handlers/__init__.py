"""TorchServe handlers: plain classes without imports from TorchServe."""
