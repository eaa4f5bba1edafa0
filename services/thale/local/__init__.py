"""Local platform: starts and supervises TorchServe and the facade on one machine."""
