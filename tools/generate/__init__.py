"""Generators of committed files; `make generate` runs them all."""
