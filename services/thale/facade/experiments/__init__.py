"""Experiments in the facade: calls of the store, measurements with a prediction cache, tables and jobs."""
