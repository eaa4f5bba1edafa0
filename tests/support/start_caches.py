"""Caches that the starts of test platforms share: Java's classes, OpenVINO's graphs, and archives.

They are in `build/test-caches`. The programs check them: a cache of another Java, other weights or a damaged file is
not used. A start with caches needs 6 s of CPU time. One without them needs 13 s, and 10 s more for Java's recording.
`run_platform(warm=False)` starts without them, as the first `thale up` of a user.
"""

import fcntl
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thale.local import aot_cache
from thale.local.aot_cache_build import record_aot_cache
from thale.local.data_dir import DataDir
from thale.local.runtime import find_runtime

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "build" / "test-caches"
_SOURCES = ("services/thale", "model-server/thale_models", "tests/support")
_COPIED = ("model-store", "openvino")


def java_options() -> list[str]:
    """Return the options by which TorchServe starts from Java's cache. The first call of all processes records it."""
    runtime, data_dir = find_runtime(), DataDir(FOLDER)
    with _lock():
        if not aot_cache.options(runtime, data_dir):
            record_aot_cache(runtime, data_dir)
        return aot_cache.options(runtime, data_dir)


def graph_cache() -> Path:
    """Return the folder of OpenVINO's graphs of the tests of this version of the sources."""
    return _version_folder() / "graphs"


def warm(home: Path, weights: Path) -> None:
    """Copy the caches of earlier starts with the same weights into a data directory."""
    java_options()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copytree(FOLDER / "java", home / "java", dirs_exist_ok=True)
    stored = _store_of(weights)
    for name in _COPIED:
        if (stored / name).is_dir() and not (home / name).exists():
            shutil.copytree(stored / name, home / name)


def store(home: Path, weights: Path) -> None:
    """Keep the caches of a platform that has started, unless they are present."""
    stored = _store_of(weights)
    if stored.is_dir() or not all((home / name).is_dir() for name in _COPIED):
        return
    stored.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=stored.parent) as folder, _lock():
        if stored.is_dir():
            return
        for name in _COPIED:
            shutil.copytree(home / name, Path(folder) / "new" / name, ignore=shutil.ignore_patterns(".*"))
        (Path(folder) / "new").rename(stored)


@contextmanager
def _lock() -> Iterator[None]:
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (FOLDER / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def _version_folder() -> Path:
    """Return the folder of this version of the sources, and delete those of others."""
    sources = hashlib.sha256()
    for path in sorted(path for folder in _SOURCES for path in (REPOSITORY / folder).rglob("*.py")):
        sources.update(path.read_bytes())
    current = FOLDER / f"sources-{sources.hexdigest()[:16]}"
    for other in FOLDER.glob("sources-*"):
        if other != current:
            shutil.rmtree(other, ignore_errors=True)
    return current


@functools.cache
def _store_of(weights: Path) -> Path:
    digest = hashlib.sha256()
    for path in sorted(path for path in weights.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(weights)).encode() + b"\0" + path.read_bytes())
    return _version_folder() / digest.hexdigest()[:16]
