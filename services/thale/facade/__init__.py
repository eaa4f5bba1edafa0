"""HTTP facade: the only public entry point of the service."""
