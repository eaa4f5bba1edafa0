"""Command line of thale: up, analyze, models, capacity and release."""

from thale.cli.app import main

__all__ = ["main"]
