"""File system of a fixed size in a folder, which a test can fill: the writes then fail as on a full disk."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_FILL_CHUNKS = (1 << 20, 4096)
"""Sizes of the writes that fill the disk: large ones first, then single pages."""


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system."""

    folder: Path

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"

    def fill(self) -> None:
        """Write until the disk has no free page."""
        with self._filler.open("wb", buffering=0) as file:
            for size in _FILL_CHUNKS:
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Free the space that `fill` occupied."""
        self._filler.unlink()


@contextmanager
def mount_small_disk(folder: Path, size_mib: int) -> Iterator[SmallDisk]:
    """Mount a file system in memory on a new folder until the context ends. Skip the test if that is not permitted."""
    folder.mkdir()
    options = f"size={size_mib}m,mode=0700,uid={os.getuid()},gid={os.getgid()}"
    mounted = _run_as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    if mounted.returncode != 0:
        pytest.skip(f"a file system of a fixed size needs the right to mount one: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        unmounted = _run_as_root("umount", str(folder))
        assert unmounted.returncode == 0, unmounted.stderr


def _run_as_root(*command: str) -> "subprocess.CompletedProcess[str]":
    prefix = () if os.getuid() == 0 else ("sudo", "--non-interactive")
    try:
        return subprocess.run([*prefix, *command], capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(error.args, 127, "", str(error))
