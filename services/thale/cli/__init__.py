"""Command line of thale: up, analyze, models, capacity, release and keys."""

from thale.cli.app import main

__all__ = ["main"]
