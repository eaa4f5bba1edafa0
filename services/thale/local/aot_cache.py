"""Java's ahead-of-time cache of TorchServe: its classes, loaded and linked, in a file (JEP 483, JEP 514).

The cache halves the CPU time from the start of TorchServe to the start of its workers (ADR 0015). `aot_cache_build`
records it once. The file name contains a digest of the inputs (Java, TorchServe, settings), and a second file contains
the digest of the cache. A cache of other inputs or a damaged cache is not used, and is recorded again.
"""

import hashlib
from pathlib import Path

from thale.host.files import write_atomically
from thale.local.data_dir import DataDir
from thale.local.runtime import ModelRuntime


def options(runtime: ModelRuntime, data_dir: DataDir) -> list[str]:
    """Return the Java options that enable the cache, or no options without an intact cache of the same inputs."""
    cache = _cache_file(runtime, data_dir)
    try:
        is_intact = _digest(cache) == _digest_file(cache).read_text()
    except FileNotFoundError:
        return []
    return [f"-XX:AOTCache={cache}", "-Xlog:aot*=error"] if is_intact else []


def store_aot_cache(new_cache: Path, runtime: ModelRuntime, data_dir: DataDir) -> None:
    """Store a new cache, and delete all older ones."""
    cache = _cache_file(runtime, data_dir)
    cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in cache.parent.iterdir():
        old.unlink()
    write_atomically(_digest_file(cache), _digest(new_cache).encode())
    write_atomically(cache, new_cache.read_bytes())


def _cache_file(runtime: ModelRuntime, data_dir: DataDir) -> Path:
    """Return the path of the cache for the installed Java, TorchServe and settings."""
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
