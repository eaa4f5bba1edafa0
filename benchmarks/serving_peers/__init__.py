"""Servers of the comparison in `benchmarks/serving.py`, one module each. Each runs in an environment of its own."""
