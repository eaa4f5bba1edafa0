"""Writing files that a kill cannot halve."""

import os
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing, also after a kill or a power cut.

    The half-written file stands beside it as `.NAME.part`; the next write of the same file replaces it.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
