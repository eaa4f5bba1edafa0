"""`thale` on the command line: up, analyze, models, release."""

from thale.cli.app import main

__all__ = ["main"]
