"""The two images, tried out: `python -m images` is what `make images-check` runs."""
