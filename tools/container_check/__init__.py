"""The two images, tried out: `python -m tools.container_check` is what `make images-check` runs."""
