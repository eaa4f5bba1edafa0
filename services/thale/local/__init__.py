"""The platform on one machine: starts and supervises TorchServe and the facade."""
