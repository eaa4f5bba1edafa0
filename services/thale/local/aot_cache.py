"""Java's ahead-of-time cache of TorchServe: its classes loaded and linked, kept in a file (JEP 483, JEP 514).

With it TorchServe needs half the processor time until it starts its workers. Made once by `java_training`. The file's
name says what it was made from, and its digest stands beside it: a cache of another Java or another TorchServe, or a
damaged one, is not used, and made anew.
"""

import hashlib
from pathlib import Path

from thale.files import write_atomically
from thale.local.data_dir import DataDir
from thale.local.runtime import ModelRuntime


def options(runtime: ModelRuntime, data_dir: DataDir) -> list[str]:
    """Return the options that let Java use the cache; none where there is no cache that is whole and fits."""
    cache = _cache_file(runtime, data_dir)
    try:
        is_intact = _digest(cache) == _digest_file(cache).read_text()
    except FileNotFoundError:
        return []
    return [f"-XX:AOTCache={cache}", "-Xlog:aot*=error"] if is_intact else []


def store_aot_cache(new_cache: Path, runtime: ModelRuntime, data_dir: DataDir) -> None:
    """Take a cache that Java has just written in place of all older ones."""
    cache = _cache_file(runtime, data_dir)
    cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in cache.parent.iterdir():
        old.unlink()
    write_atomically(_digest_file(cache), _digest(new_cache).encode())
    write_atomically(cache, new_cache.read_bytes())


def _cache_file(runtime: ModelRuntime, data_dir: DataDir) -> Path:
    """Return where the cache of this Java, this TorchServe and these settings lies."""
    key_parts = [runtime.java_release.read_text(), *runtime.java_options()]
    for jar in sorted(runtime.frontend.glob("*.jar")):
        status = jar.stat()
        key_parts.append(f"{jar} {status.st_size} {status.st_mtime_ns}")
    key = hashlib.sha256("\n".join(key_parts).encode()).hexdigest()
    return data_dir.path / "java" / f"{key[:16]}.aot"


def _digest_file(cache: Path) -> Path:
    return cache.with_suffix(".sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
