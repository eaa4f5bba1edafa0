"""Procedural seedling plates whose truth is exact."""
