"""Check of both container images: `make images-check` runs `python -m tools.container_check`."""
