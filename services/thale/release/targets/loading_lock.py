"""Lock of a model's loading on the local platform: one process at a time loads or unloads versions of a model."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thale.host.files import exclusive_lock, open_locked


@contextmanager
def loading_lock(state_path: Path, model: str) -> Iterator[None]:
    """Wait for the loading lock of a model, and hold it within the context."""
    with exclusive_lock(_lock_path(state_path, model)):
        yield


@contextmanager
def try_loading_lock(state_path: Path, model: str) -> Iterator[bool]:
    """Hold the loading lock of a model within the context if it is free. Yields False if another process holds it."""
    try:
        lock_fd = open_locked(_lock_path(state_path, model), blocking=False)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        os.close(lock_fd)


def _lock_path(state_path: Path, model: str) -> Path:
    return state_path.with_name(f".{state_path.name}.{model}.lock")
