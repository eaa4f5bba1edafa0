"""Canary analysis: checks, sequential tests and the verdict."""
