"""Garbage collection of the test processes: none while tests are collected, which would take 6 s of CPU time each."""

import gc

gc.disable()


def pytest_collection_finish() -> None:
    """Exclude the modules and tests from the collections that now follow."""
    gc.freeze()
    gc.enable()
